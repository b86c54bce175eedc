# The floor: curl of every blob of the images, each once, eight at a time.
rm -rf out && mkdir -p out
while read -r url; do
  printf 'url = "%s"\noutput = "out/%s"\n' "$url" "${url##*:}"
done <temp/blobs.list >curl.conf
curl --silent --show-error --fail --location --parallel --parallel-max 8 --config curl.conf
