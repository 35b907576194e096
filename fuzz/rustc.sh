#!/bin/sh
# Cargo runs this in place of rustc. It marks the branches of tidegate's own code for libFuzzer; the
# libraries are compiled as usual, so their builds are shared with those for the tests.
case " $* " in
    *' --crate-name tidegate '*)
        exec "$@" --cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
            -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
            -Cllvm-args=-sanitizer-coverage-trace-compares
        ;;
esac
exec "$@"
