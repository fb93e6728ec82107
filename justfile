# Every recipe wraps a plain cargo command; nothing here is needed to build or test. CI runs `.ci/run`.

# Lists the recipes.
default:
    @just --list

# The example of the README.
run:
    cargo run --release --example order_service

# All tests.
test:
    ABIDE_POSTGRES=install cargo test --workspace

# What CI runs.
ci:
    .ci/run

# Formats, and runs the lints as CI does.
lint:
    cargo fmt --all
    cargo clippy --workspace --all-targets -- -D warnings

# The kill loop with 1,000 kills instead of CI's 34.
kill-1000:
    ABIDE_KILLS=1000 cargo test --release -p abide-tests --test crash -- --nocapture no_kill_loses_or_repeats_anything

# The same among three workers on Postgres, with 200 kills instead of CI's 10.
kill-postgres-200:
    ABIDE_KILLS=200 cargo test --release -p abide-tests --test crash_postgres -- --nocapture kills_among

# The kill loop with updates, children and streams in flight: 120 kills on each database instead of CI's 6.
kill-in-flight-120:
    ABIDE_KILLS=120 cargo test --release -p abide-tests --test crash --test crash_postgres -- --nocapture in_flight

# Every fault on Postgres; the tests mostly wait, so more of them at once than cores.
faults-postgres:
    cargo test -p abide-tests --test crash_postgres -- --test-threads 6

# Two builds on one Postgres: the older one, compiled from git, works until the migration refuses its workers.
two-builds *revision:
    .ci/two-builds {{revision}}

# The simulation: 10,000 seeds.
simulate *options:
    cargo run --release -p simulation -- --runs 10000 {{options}}

# An hour of it, at random seeds.
simulate-hour:
    timeout --preserve-status 3600 cargo run --release -p simulation -- --runs 10000000 --seed $(date +%s)000000

# Every mutant from the first seed on, for those who changed the engine and look for new seeds.
mutants:
    cargo build --release -p simulation
    for m in $(target/release/simulation --list-mutants | awk '$3 == "from" { print $1 }'); do \
        echo "$m: $(target/release/simulation --mutant $m --runs 3000 | grep breaks || echo 'not found')"; done

# Engine and raw driver, side by side.
bench:
    cargo run --release -p bench -- --store sqlite w1 w2

# The same on Postgres: a throw-away cluster with full durability, or the database that DATABASE_URL names.
bench-postgres:
    cargo run --release -p bench -- --store postgres w1 w2

# One, two and three worker processes on one Postgres.
scale:
    cargo run --release -p bench -- scale

# A worker process is killed and started again: how long until its work is complete, beside what was left of it.
bench-restart:
    cargo run --release -p bench -- w6 --store sqlite
    cargo run --release -p bench -- w6 --store postgres

# A throw-away Postgres, until Ctrl-C: prints its URL.
cluster *options:
    cargo run -p cluster -- {{options}}

# Instructions and allocations of an append, an activity and a replay, beside those in docs/benchmarks.md; with --write
# they go there.
count *options:
    cargo run --release -p bench -- count {{options}}

# What the checks cost at compile time, with and without.
bench-compile:
    cargo run --release -p bench -- compile

# Accepts changed snapshots and error texts after a look at their diff.
bless:
    ABIDE_POSTGRES=install TRYBUILD=overwrite INSTA_UPDATE=always cargo test --workspace

# What a user of `abide` compiles, counted.
crates:
    cargo tree -p abide -e normal --features sqlite --prefix none | sed 's/ (\*)//' | sort -u | wc -l

# Licences, advisories and sources of all dependencies (needs cargo-deny).
deny:
    cargo deny check
