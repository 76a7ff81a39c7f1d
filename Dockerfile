# The supervisor alone: a static binary and the certificate authorities, nothing else. From the root of the repository:
#
#   cargo xtask image --context target/image
#   docker build --file Dockerfile --tag dockerloader target/image
#
# (`cargo xtask image` does both.) Mount a volume at /data and set DOCKERLOADER_TARGET:
#
#   docker run --detach --volume app-data:/data --env DOCKERLOADER_TARGET=registry.example/app:stable dockerloader
FROM scratch
COPY dockerloader /dockerloader
COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
# bin/cli is a link to /dockerloader: `docker exec CONTAINER /bin/cli ...` runs the current version's command line.
COPY bin/ /bin/
VOLUME /data
ENTRYPOINT ["/dockerloader"]
