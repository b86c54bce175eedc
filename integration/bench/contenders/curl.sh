# The floor: curl of the same lists, eight at a time, and one tar of it all.
rm -rf out files && mkdir -p out files
for arch in $ARCHITECTURES; do
  while read -r url; do
    printf 'url = "%s"\noutput = "files/%s"\n' "$url" "${url#*://}"
  done <"temp/files-$arch.list"
done >curl.conf
curl --silent --show-error --fail --parallel --parallel-max 8 --create-dirs --config curl.conf
tar -cf out/files.tar files
