#!/bin/sh
# A learner's seat: their copy of the lessons in my-course, then JupyterHub's server for one person, with JupyterLab set
# as `resnet-edu lab` sets it. It runs as the learner, so what it writes can only be theirs. See docs/jupyterhub.md.
cd || exit 1
# A cell that asks for more memory than the hub grants gets an error that says so, and its kernel lives on.
[ -z "${MEM_LIMIT:-}" ] || ulimit -d "$((MEM_LIMIT / 1024))" || true
[ "${RESNET_EDU_WORKED:-}" != no ] || [ -e my-course ] || python -m resnet_edu export my-course # and it stays without answers
python -m resnet_edu lab --copy-only my-course || echo "resnet-edu: the lessons could not be brought to $PWD/my-course" >&2
IFS='
' # an option a line: they hold paths and brackets
set -f
# shellcheck disable=SC2046 # several options
exec jupyterhub-singleuser $(python -m resnet_edu.tools.lab) "$@"
