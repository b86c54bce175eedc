# The templated Dockerfile: wget of each architecture's list in its own step, for both platforms at once.
{
  echo 'FROM --platform=$BUILDPLATFORM downloader:1 AS download'
  echo 'WORKDIR /opt/k8s'
  for arch in $ARCHITECTURES; do
    echo "COPY temp/files-$arch.list /tmp/files-$arch.list"
    echo "RUN wget -nv -x -P k8s -i /tmp/files-$arch.list"
  done
  echo 'FROM nginx:1.27-alpine'
  echo 'COPY --from=download /opt/k8s /opt/k8s'
  echo 'COPY default.conf /etc/nginx/conf.d/default.conf'
} >Dockerfile
buildx build -f Dockerfile --platform "$PLATFORMS" --push -t "$IMAGE" .
