# kso, with a way to compress.
sed "s/@ARCHITECTURES@/${ARCHITECTURES// /, }/" "$DEFINITION" >kso.yaml
buildx build -f kso.yaml --platform "$PLATFORMS" -o "type=image,name=$IMAGE,push=true,$COMPRESSION" .
