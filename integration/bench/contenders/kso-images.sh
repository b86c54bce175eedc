# kso: the list as it is.
sed "s/@ARCHITECTURES@/${ARCHITECTURES// /, }/" kso-images.yaml >kso.yaml
buildx build -f kso.yaml --platform "$PLATFORMS" --push -t "$IMAGE" .
