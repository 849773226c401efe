#!/bin/sh
# Stands for fine-tuning in several containers: each runs this, the first one writes the result.
set -eu
test -s /pipeline/vfroot/model/weights.txt
if [ "$BACKENDAI_CLUSTER_ROLE" = main ]; then
  echo 0.29 > /pipeline/outputs/loss.txt
fi
echo "tuned in container $BACKENDAI_CLUSTER_HOST, one of $BACKENDAI_CLUSTER_SIZE"
