#!/bin/sh
# Stands for the download of a model: leaves one in the folder that all tasks of the pipeline share.
set -eu
mkdir -p /pipeline/vfroot/model
echo "weights" > /pipeline/vfroot/model/weights.txt
echo "downloaded"
