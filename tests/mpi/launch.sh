#!/bin/sh
# usage: launch.sh TEXT SECONDS COMMAND...   The command must end by itself within the time. TEXT empty: it must succeed.
# Else it must end with an error and must have printed TEXT: a lost rank has to end the whole launch, but not hang it.
text=$1
seconds=$2
shift 2
output=$(timeout -k 5 "$seconds" "$@" 2>&1)
code=$?
printf '%s\nexit status %d\n' "$output" "$code"
if [ "$code" = 124 ]; then
    echo "not over after $seconds s"
    exit 1
fi
[ -n "$text" ] || exit "$code"
[ "$code" != 0 ] || exit 1
case $output in
*"$text"*) exit 0 ;;
esac
echo "did not print: $text"
exit 1
