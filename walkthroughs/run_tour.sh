#!/bin/sh
# run_tour.sh LIST FOLDER: runs the programs that LIST names, out of FOLDER, and repeats all claims at the end.
# A line of LIST: expected seconds, program, options # what it shows | the lesson that follows
list=$1
folder=$2
outputs=$(mktemp -d "${TMPDIR:-/tmp}/tour.XXXXXX") || exit 1
trap 'rm -rf "$outputs"' EXIT
trap 'exit 130' INT TERM

grep -v '^ *#' "$list" | grep '[^ ]' > "$outputs/list"
echo "The tour: $(awk 'END { print NR }' "$outputs/list") programs, about $(awk '{ s += $1 } END { print s }' "$outputs/list") seconds."
sed -e 's/ *|.*//' "$outputs/list" | awk -F' *# *' '{ split($1, a, " "); printf "  %3d s  %-14s %s\n", a[1], a[2], $2 }'

# The programs print into a pipe here; they may still use colours when standard output is a terminal.
[ -t 1 ] && [ -z "$NO_COLOR" ] && FORCE_COLOR=1 && export FORCE_COLOR

failed=0
while IFS= read -r line <&3; do
    command=${line%%#*}
    comment=${line#*#}
    set -- $command
    shift
    program=$1
    shift
    printf '\n======== %s: %s\n\n' "$program" "$(echo "${comment%%|*}" | sed -e 's/^ *//; s/ *$//')"
    { "$folder/$program" "$@" 3<&-; echo $? > "$outputs/status"; } | tee -a "$outputs/text"
    status=$(cat "$outputs/status")
    if [ "$status" != 0 ]; then
        failed=1
        echo "claim  $program ended with status $status" | tee -a "$outputs/text"
    fi
    printf '\nnext     make walk-%s\n' "$(echo "${comment#*|}" | sed -e 's/^ *//; s/ *$//')"
done 3< "$outputs/list"

printf '\n======== What was claimed, and measured\n\n'
grep '^claim' "$outputs/text"
printf '\nWhere to go on: '
sed -e 's/.*| *//' "$outputs/list" | awk '{ printf "%smake walk-%s", (NR > 1 ? ", " : ""), $1 } END { print "" }'
exit $failed
