# The usual script: a temporary registry for each architecture, skopeo copy of each image into it, and its directory in an image.
port=$PORT
for arch in $ARCHITECTURES; do
  mkdir -p "registry-data-$arch"
  cat >registry.yml <<END
version: 0.1
log: { level: error, accesslog: { disabled: true } }
storage: { filesystem: { rootdirectory: $PWD/registry-data-$arch } }
http: { addr: 127.0.0.1:$port }
END
  OTEL_TRACES_EXPORTER=none registry serve registry.yml >/dev/null 2>&1 &
  registry=$!
  trap 'kill $registry 2>/dev/null || true' EXIT
  until curl --silent --output /dev/null "http://127.0.0.1:$port/v2/"; do sleep 0.05; done
  while read -r image; do
    skopeo --insecure-policy copy --quiet --override-os linux --override-arch "$arch" --src-tls-verify=false \
      --dest-tls-verify=false "docker://$image" "docker://127.0.0.1:$port/k8s/${image#*/}"
  done <temp/images.list
  kill $registry
  wait $registry || true
done
cat >Dockerfile <<'END'
FROM registry:3
ARG TARGETARCH
COPY registry-data-$TARGETARCH /var/lib/registry
END
buildx build -f Dockerfile --platform "$PLATFORMS" --push -t "$IMAGE" .
