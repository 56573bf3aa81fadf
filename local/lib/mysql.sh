# MySQL as the ledger's server: the newest LTS release, which Debian has in its unstable suite alone.

need_mysql() {
    [ -e "$(mysql_directory)/.installed" ] && return 0
    fetch_unstable "$(mysql_directory)" MySQL "choose the other server: LEDGER_SERVER=mariadb" mysql-server-core mysql-client-core
    use_own_libraries "$(mysql_directory)" "$(mysql_program)" "$(mysql_client)"
    "$(mysql_program)" --no-defaults --version >"$(mysql_directory)/.installed" ||
        die "MySQL's server does not run here" "choose the other server: LEDGER_SERVER=mariadb"
}

mysql_directory() { echo "$LOCAL/mysql-server"; }
mysql_program() { echo "$(mysql_directory)/root/usr/sbin/mysqld"; }
mysql_client() { echo "$(mysql_directory)/root/usr/bin/mysql"; }

make_mysql_data() {
    "$(mysql_program)" --no-defaults --initialize-insecure "--user=$(id -un)" "--datadir=$1" --innodb-redo-log-capacity=16M
    rm "$1/auto.cnf" # the server's identity: each copy makes its own
}

# No binary log: nothing replicates it, and it would double the time of a commit.
mysql_options() {
    printf '%s\n' --innodb-redo-log-capacity=512M --disable-log-bin --mysqlx=OFF --secure-file-priv=NULL
}
