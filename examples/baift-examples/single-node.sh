#!/bin/sh
# Stands for fine-tuning in one container.
set -eu
test -s /pipeline/vfroot/model/weights.txt
echo 0.31 > /pipeline/outputs/loss.txt
echo "tuned in one container"
