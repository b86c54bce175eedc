# The image of the frontend `hello`: the program, and nothing else.
#
#   docker buildx build -f crates/buildkit/examples/hello.Dockerfile -t HOST/hello --push .
#
# A program that is compiled already takes the place of the stages before the last one with
#
#   --build-context program=DIRECTORY

FROM rust:alpine AS build
RUN apk add --no-cache musl-dev
WORKDIR /src
RUN --mount=type=bind,target=/src --mount=type=cache,target=/target \
    CARGO_TARGET_DIR=/target cargo build --locked --release --package buildkit --example hello \
    && cp /target/release/examples/hello /hello

FROM scratch AS built
COPY --from=build /hello /hello

# A stage without instructions: what replaces it must leave nothing that still needs the stages above.
FROM built AS program

FROM scratch
LABEL moby.buildkit.frontend.network.none="true"
COPY --from=program /hello /hello
ENTRYPOINT ["/hello"]
