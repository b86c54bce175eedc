# Archives as `docker save` writes them, one for each image and architecture.
mkdir -p out
declare -A wanted
for arch in $ARCHITECTURES; do
  while read -r image; do
    name=${image#*/}
    archive=out/${name//[\/:]/_}-$arch.tar
    wanted[$archive]=1
    rm -f "$archive"
    skopeo --insecure-policy copy --quiet --override-os linux --override-arch "$arch" --src-tls-verify=false \
      "docker://$image" "docker-archive:$archive:$name"
  done <temp/images.list
done
for archive in out/*.tar; do
  [ -n "${wanted[$archive]:-}" ] || rm "$archive"
done
