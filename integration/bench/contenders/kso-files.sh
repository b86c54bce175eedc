# kso: the lists as they are.
sed "s/@ARCHITECTURES@/${ARCHITECTURES// /, }/" kso-files.yaml >kso.yaml
buildx build -f kso.yaml --platform "$PLATFORMS" --push -t "$IMAGE" .
