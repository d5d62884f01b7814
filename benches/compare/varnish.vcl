# Varnish as its experts set it up: the built-in policy, which keeps what the origin lets it keep.
vcl 4.1;

backend origin {
    .host = "127.0.0.1";
    .port = "7000";
}
