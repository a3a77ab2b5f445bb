#!/bin/sh
# Unpacks the releaser that `release keep` has kept in the bucket: with curl alone, so that a rollback can begin when
# no package index answers. Run it in the clone; BUCKET names the deployment bucket, AWS_* are the job's credentials.
# Exit code 22: nothing is kept for this lock in this place.
set -eu
place=$(pwd -P)
named=$({ cat uv.lock; printf 'releaser %s %s\n' "$place" "$(uname -m)"; } | sha256sum | cut -d ' ' -f 1)
archive=$(mktemp)
trap 'rm -f "$archive"' EXIT
# By standard input: whoever lists the processes sees no secret (printf is no process).
{
  printf 'user = "%s:%s"\n' "$AWS_ACCESS_KEY_ID" "$AWS_SECRET_ACCESS_KEY"
  if [ -n "${AWS_SESSION_TOKEN:-}" ]; then printf 'header = "x-amz-security-token: %s"\n' "$AWS_SESSION_TOKEN"; fi
} | curl --fail --silent --show-error --max-time 120 --retry 3 --config - --output "$archive" \
  --aws-sigv4 "aws:amz:$AWS_REGION:s3" \
  "${AWS_ENDPOINT_URL:-https://s3.$AWS_REGION.amazonaws.com}/$BUCKET/way-back/$named/releaser.tar.gz"
tar -xzf "$archive" -C /
