# hauler: its store filled from a manifest, and saved as one archive.
platform=()
[ "$ARCHITECTURES" = 'amd64 arm64' ] || platform=(--platform "linux/$ARCHITECTURES")
mkdir -p out
{
  printf 'apiVersion: content.hauler.cattle.io/v1\nkind: Images\nmetadata:\n  name: images\nspec:\n  images:\n'
  sed 's/^/    - name: /' temp/images.list
} >hauler.yaml
hauler store sync --no-progress --store store "${platform[@]}" --filename hauler.yaml
hauler store save --store store --filename out/haul.tar.zst
