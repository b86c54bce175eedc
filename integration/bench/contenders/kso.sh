# kso: the lists as they are, and a compression if one is set.
sed "s/@ARCHITECTURES@/${ARCHITECTURES// /, }/" "$DEFINITION" >kso.yaml
buildx build -f kso.yaml --platform "$PLATFORMS" -o "type=image,name=$IMAGE,push=true${COMPRESSION:+,$COMPRESSION}" .
