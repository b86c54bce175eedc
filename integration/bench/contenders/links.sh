# The older script: skopeo into directories, hard-linked by hand into the storage of a registry, and that in an image.
for arch in $ARCHITECTURES; do
  storage=storage-$arch/docker/registry/v2
  while read -r image; do
    name=k8s/${image#*/} tag=${image##*:}
    name=${name%:*}
    folder=images-$arch/$name/$tag
    mkdir -p "$folder"
    skopeo --insecure-policy copy --quiet --override-os linux --override-arch "$arch" --src-tls-verify=false \
      "docker://$image" "dir:$folder"
    digest=$(sha256sum "$folder/manifest.json" | cut -d' ' -f1)
    repository=$storage/repositories/$name
    mkdir -p "$storage/blobs/sha256/${digest:0:2}/$digest" "$repository/_manifests/revisions/sha256/$digest" \
      "$repository/_manifests/tags/$tag/current" "$repository/_manifests/tags/$tag/index/sha256/$digest"
    ln -f "$folder/manifest.json" "$storage/blobs/sha256/${digest:0:2}/$digest/data"
    for link in "revisions/sha256/$digest" "tags/$tag/current" "tags/$tag/index/sha256/$digest"; do
      printf 'sha256:%s' "$digest" >"$repository/_manifests/$link/link"
    done
    for blob in $(grep -Eo '\b[a-f0-9]{64}\b' "$folder/manifest.json"); do
      mkdir -p "$storage/blobs/sha256/${blob:0:2}/$blob" "$repository/_layers/sha256/$blob"
      printf 'sha256:%s' "$blob" >"$repository/_layers/sha256/$blob/link"
      ln -f "$folder/$blob" "$storage/blobs/sha256/${blob:0:2}/$blob/data"
    done
  done <temp/images.list
done
cat >Dockerfile <<'END'
FROM registry:3
ARG TARGETARCH
COPY storage-$TARGETARCH /var/lib/registry
END
buildx build -f Dockerfile --platform "$PLATFORMS" --push -t "$IMAGE" .
