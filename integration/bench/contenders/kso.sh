# kso: the lists as they are, and a way to compress where one is chosen.
sed "s/@ARCHITECTURES@/${ARCHITECTURES// /, }/" "$DEFINITION" >kso.yaml
buildx build -f kso.yaml --platform "$PLATFORMS" -o "type=image,name=$IMAGE,push=true${COMPRESSION:+,$COMPRESSION}" .
