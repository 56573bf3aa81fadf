# A MariaDB server with a data directory, a socket and a port of its own; the machine's other databases and their
# configuration are not touched. It commits as durably as production does, so that timings mean something. Tables have no
# file each: tests make thousands of them.

mariadb_up() {
    local data=$LOCAL/mariadb/data
    local spec="mysql://127.0.0.1:$MYSQL_PORT"
    need_passwords
    runs_as mariadb "$spec" && return 0
    need_port "$MYSQL_PORT" MYSQL_PORT MariaDB
    if [ ! -d "$data/mysql" ]; then
        mkdir -p "$data" "$LOCAL/log"
        mariadb-install-db --no-defaults "--datadir=$data" --auth-root-authentication-method=normal \
            --skip-test-db "--user=$(id -un)" >>"$LOCAL/log/install.log" 2>&1 ||
            die "mariadb-install-db failed, see $LOCAL/log/install.log"
    fi
    write_users
    mkdir -p "$LOCAL/mariadb/tmp"
    start_service mariadb "$spec" "$(mariadbd_path)" --no-defaults "--user=$(id -un)" \
        "--datadir=$data" "--tmpdir=$LOCAL/mariadb/tmp" "--socket=$(mysql_socket)" "--pid-file=$LOCAL/mariadb/mariadbd.pid" \
        --bind-address=127.0.0.1 "--port=$MYSQL_PORT" --skip-name-resolve \
        "--init-file=$LOCAL/mariadb/users.sql" \
        --character-set-server=utf8mb4 --max-connections=400 --max-allowed-packet=64M \
        --innodb-flush-log-at-trx-commit=1 --innodb-file-per-table=0 --innodb-buffer-pool-size=512M --innodb-log-file-size=256M
}

mariadb_ready() { wait_ready mariadb 60 mariadb_is_ready; }

mariadb_is_ready() {
    MYSQL_PWD=$LEDGER_PASSWORD mariadb --no-defaults --protocol=tcp -h 127.0.0.1 -P "$MYSQL_PORT" -u granary -e 'SELECT 1' granary
}

# `granary` is who the functions and the tests are: it may do anything in databases whose names begin with granary,
# and nothing elsewhere. The server runs this file at every start, so it only says what shall be so.
write_users() {
    (umask 077 && cat >"$LOCAL/mariadb/users.sql") <<SQL
ALTER USER 'root'@'localhost' IDENTIFIED BY '$ROOT_PASSWORD';
CREATE USER IF NOT EXISTS 'root'@'127.0.0.1';
ALTER USER 'root'@'127.0.0.1' IDENTIFIED BY '$ROOT_PASSWORD';
GRANT ALL PRIVILEGES ON *.* TO 'root'@'127.0.0.1' WITH GRANT OPTION;
CREATE USER IF NOT EXISTS 'granary'@'%';
ALTER USER 'granary'@'%' IDENTIFIED BY '$LEDGER_PASSWORD';
GRANT ALL PRIVILEGES ON \`granary%\`.* TO 'granary'@'%';
CREATE DATABASE IF NOT EXISTS granary;
SQL
}

# Made once per .local directory: passwords and tokens that no other stack shares.
need_passwords() {
    if [ ! -s "$LOCAL/secrets" ]; then
        (umask 077 && for name in ROOT_PASSWORD LEDGER_PASSWORD OPERATOR_TOKEN VIEWER_TOKEN; do
            printf '%s=%s\n' "$name" "$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')"
        done >"$LOCAL/secrets")
    fi
    . "$LOCAL/secrets"
}

# A socket's path may have 107 bytes at most, which a deep checkout exceeds.
mysql_socket() {
    local socket=$LOCAL/mariadb/mysql.sock
    [ "${#socket}" -le 100 ] || socket=/tmp/granary-$(printf '%s' "$LOCAL" | sha256sum | cut -c1-12).sock
    echo "$socket"
}

mariadbd_path() { command -v mariadbd || echo /usr/sbin/mariadbd; }
