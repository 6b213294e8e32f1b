#!/bin/sh
# Train the larger bases of the ladder (m, l, xl), one after the other, on a GPU.
#
#   make setup && sh runs/train_bases.sh          # all three
#   sh runs/train_bases.sh m                      # only these sizes
#
# Not run yet: there is no record of m, l or xl, and so no figure of what they cost.
#
# Needs:   one CUDA GPU that torch sees (on a CPU it stops at once) and .venv/.
# Trains:  m 3.4, l 16 and xl 57 million parameters on 48, 68 and 83 million tokens.
# Resumes: run it again after it was killed. A size goes on from its newest
#          checkpoint in the vault (INSECTARY_HOME); a size with a record is left out.
#          To train one again, remove its folder in runs/bases/ and run
#          `insectary rm base-SIZE`.
# Keeps:   runs/bases/SIZE/card.json, what the base can do and how it was made: the
#          record, a few kilobytes, to be committed. The weights lie beside it for
#          `insectary breed --base` to load; git ignores them, and they follow from
#          the recipe in the card.
# Cost:    printed for every size, also when it is broken off, and added to
#          runs/bases/cost.tsv; a size that was resumed has several lines.
set -eu

cd "$(dirname "$0")/.."
insectary=${INSECTARY:-.venv/bin/insectary}
python=${PYTHON:-.venv/bin/python}
bases=runs/bases

for program in "$insectary" "$python"; do
  command -v "$program" >/dev/null || {
    echo "error: $program was not found; run \`make setup\` first" >&2
    exit 1
  }
done
gpu=$("$python" -c '
import sys, torch
if not torch.cuda.is_available():
    sys.exit("error: torch sees no GPU; on a CPU only the sizes xs and s are worth their time")
print(torch.cuda.get_device_name())
')
# Ctrl-C ends the training; the cost so far is still to be told.
trap : INT

mkdir -p "$bases"
[ $# -gt 0 ] || set -- m l xl
for size in "$@"; do
  if [ -f "$bases/$size/card.json" ]; then
    echo "$size: recorded in $bases/$size/card.json"
    continue
  fi
  # What was copied in part is not a record.
  rm -rf "$bases/$size.part"
  started=$(date +%s)
  code=0
  "$insectary" base train --size "$size" --out "$bases/$size.part" || code=$?
  seconds=$(($(date +%s) - started))
  [ "$code" -eq 0 ] && end=trained || end="broken off"
  echo "$size: $end after $seconds s on one $gpu"
  printf '%s\t%s\t%s\t%s\n' "$size" "$end" "$seconds" "$gpu" >>"$bases/cost.tsv"
  [ "$code" -eq 0 ] || exit "$code"
  rm -rf "$bases/$size" # a folder without a record: what is left of a move broken off
  mv "$bases/$size.part" "$bases/$size"
done
