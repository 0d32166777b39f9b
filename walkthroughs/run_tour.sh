#!/bin/sh
# run_tour.sh LIST FOLDER: runs the programs that LIST names, out of FOLDER, one after the other, and repeats at the end what each claimed.
# A line of LIST: the expected seconds, the program, its options; what follows # is a comment.
list=$1
folder=$2
outputs=$(mktemp -d "${TMPDIR:-/tmp}/tour.XXXXXX") || exit 1
trap 'rm -rf "$outputs"' EXIT
trap 'exit 130' INT TERM

sed -e 's/#.*//' "$list" | awk 'NF > 1' > "$outputs/list"
echo "The tour: $(awk 'END { print NR }' "$outputs/list") programs, about $(awk '{ s += $1 } END { print s }' "$outputs/list") seconds."
awk '{ printf "  %3d s  %s", $1, $2; for (i = 3; i <= NF; ++i) printf " %s", $i; print "" }' "$outputs/list"

# The programs print into a pipe here; they may still use colours when we stand on a terminal.
[ -t 1 ] && [ -z "$NO_COLOR" ] && FORCE_COLOR=1 && export FORCE_COLOR

failed=0
while read -r seconds program options <&3; do
    printf '\n======== %s %s\n\n' "$program" "$options"
    { "$folder/$program" $options 3<&-; echo $? > "$outputs/status"; } | tee -a "$outputs/text"
    status=$(cat "$outputs/status")
    if [ "$status" != 0 ]; then
        failed=1
        echo "claim  $program ended with status $status" | tee -a "$outputs/text"
    fi
done 3< "$outputs/list"

printf '\n======== What was claimed, and measured\n\n'
grep '^claim' "$outputs/text"
exit $failed
