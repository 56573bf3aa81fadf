# MariaDB as the ledger's server: Debian's own, the program without the service that would start by itself.

need_mariadb() {
    need_command mariadbd mariadb-server-core
    need_command mariadb mariadb-client-core
}

mariadb_program() { command -v mariadbd || echo /usr/sbin/mariadbd; }
mariadb_client() { echo mariadb; }

make_mariadb_data() {
    mariadb-install-db --no-defaults "--datadir=$1" --auth-root-authentication-method=normal --skip-test-db "--user=$(id -un)" \
        --innodb-log-file-size=16M
}

mariadb_options() { echo --innodb-log-file-size=256M; }
