# syntax=docker/dockerfile:1
# The packed npm package on a base with Node. It is not built in this repository's CI, which has no container engine; what it copies
# is: test/lab/package.test.ts packs, installs and runs the same package.
#
#   npm pack && docker build --build-arg PACKAGE=tidegate-0.1.0.tgz -t tidegate:0.1.0 .
ARG NODE=26-bookworm-slim

FROM node:${NODE} AS install
ARG PACKAGE
WORKDIR /opt/tidegate
COPY ${PACKAGE} /tmp/tidegate.tgz
# The base has a Node of its own; the add-on is taken from the package's prebuilt files.
RUN echo '{"name": "image", "private": true}' > package.json \
 && npm install --omit=dev --no-audit --no-fund /tmp/tidegate.tgz \
 && rm -rf node_modules/node node_modules/node-linux-* node_modules/.bin/node

FROM node:${NODE}
LABEL org.opencontainers.image.title="tidegate" org.opencontainers.image.licenses="Apache-2.0"
# The chart's `host.uid` is this user. In the profile pod any other user will do, as OpenShift chooses one.
RUN groupadd --gid 10001 tidegate \
 && useradd --uid 10001 --gid 10001 --home-dir /var/lib/tidegate --shell /usr/sbin/nologin tidegate \
 && install -d -o 10001 -g 10001 -m 2770 /var/lib/tidegate
COPY --from=install /opt/tidegate /opt/tidegate
RUN ln -s /opt/tidegate/node_modules/tidegate/dist/main.js /usr/local/bin/tidegate
ENV NODE_ENV=production
USER 10001:10001
WORKDIR /var/lib/tidegate
VOLUME /var/lib/tidegate
# Traps, BMP, BGP, gNMI dial-out, admin, the speaker's admin
EXPOSE 1162/udp 11019 1179 57400 9600 9601
ENTRYPOINT ["tidegate"]
CMD ["run"]
