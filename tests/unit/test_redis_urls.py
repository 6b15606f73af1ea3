"""URLs of the store: taken apart, refused in one line, shown without secrets."""

import re

import pytest

from match_server.redis_urls import ClusterUrl, SentinelUrl, channel_prefix, check, hash_tag, redact


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://localhost:6379/0", "redis://localhost:6379/0"),
        ("redis://:secret@localhost:6379/0", "redis://:***@localhost:6379/0"),
        (
            "rediss://user:secret@redis.example/1?ssl_cert_reqs=none",
            "rediss://user:***@redis.example/1?ssl_cert_reqs=none",
        ),
        ("redis://user@localhost", "redis://user@localhost"),
        ("redis://user:p%40ss@localhost", "redis://user:***@localhost"),
        ("redis://user:p@ss@localhost", "redis://user:***@localhost"),
        ("redis://localhost?password=secret", "redis://localhost?password=***"),
        ("unix:///tmp/redis.sock?db=1&password=se&cret=x", "unix:///tmp/redis.sock?db=1&password=***&cret=x"),
        ("unix:///tmp/redis.sock", "unix:///tmp/redis.sock"),
        ("embedded://", "embedded://"),
        ("redis+sentinel://u:secret@a:1,b:2/s/3", "redis+sentinel://u:***@a:1,b:2/s/3"),
        ("redis+sentinel://a/s?sentinel_password=secret", "redis+sentinel://a/s?sentinel_password=***"),
    ],
)
def test_a_url_is_logged_without_its_password(url: str, shown: str) -> None:
    assert redact(url) == shown


@pytest.mark.parametrize(
    ("url", "prefix"),
    [
        ("redis://h", ""),
        ("redis://h/0", ""),
        ("rediss://h/12", "db12:"),
        ("unix:///r?db=3", "db3:"),
        ("embedded://", ""),
        ("redis+sentinel://a,b/s", ""),
        ("redis+sentinel://a,b/s/3", "db3:"),
        ("redis+sentinel://a,b/s?db=3", "db3:"),
        ("redis+cluster://a,b", ""),
        ("embedded:///3", ""),
    ],
)
def test_channels_of_a_database_have_its_number(url: str, prefix: str) -> None:
    assert channel_prefix(url) == prefix


def test_a_sentinel_url_is_taken_apart() -> None:
    url = "redis+sentinel://ann:p%40w@a:1,b,[::1]:3/eu/2?sentinel_username=eve&sentinel_password=x&client_name=n"
    assert SentinelUrl.parse(url) == SentinelUrl(
        service="eu",
        sentinels=(
            "redis://a:1?username=eve&password=x",
            "redis://b:26379?username=eve&password=x",
            "redis://[::1]:3?username=eve&password=x",
        ),
        data="redis://ann:p%40w@primary/2?client_name=n",
    )


def test_over_tls_the_sentinels_are_reached_by_the_same_certificates() -> None:
    url = SentinelUrl.parse("rediss+sentinel://a/eu?ssl_ca_certs=/ca.pem")
    assert url.sentinels == ("rediss://a:26379?ssl_ca_certs=/ca.pem",)
    assert url.data == "rediss://primary?ssl_ca_certs=/ca.pem"


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("redis+sentinel://a:1,b:2", "expected redis+sentinel://host:port,host:port/service"),
        ("redis+sentinel:///eu", "expected redis+sentinel://host:port,host:port/service"),
        ("redis+sentinel://a/eu/1/2", "expected redis+sentinel://host:port,host:port/service"),
        ("redis+sentinel://a/eu/first", "expected the number of a database"),
        ("redis+sentinel://a:99999/eu", "not a URL that Redis clients understand"),
        ("redis+sentinel://a/eu?socket_timeout=soon", "not a URL that Redis clients understand"),
        ("redis+cluster://a/1", "expected redis+cluster://host:port,host:port, without a database"),
        ("redis+cluster://", "expected redis+cluster://host:port,host:port"),
        (
            "embedded://data",
            "expected embedded:// or the whole path of a folder behind it, such as embedded:///var/lib/",
        ),
        ("embedded://./data", "expected embedded:// or the whole path of a folder behind it"),
        ("redis://:secret@a?foo=1", "unknown option 'foo' behind the ?"),
        ("redis+sentinel://:secret@a/eu?foo=1", "unknown option 'foo' behind the ?"),
        ("redis://:secret#more@a:1", "in a password write # as %23"),
        ("http://secret@localhost", "expected a URL that starts with embedded://, redis://"),
        ("", "expected a URL that starts with"),
    ],
)
def test_a_wrong_url_is_refused_in_plain_words(url: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=re.escape(complaint)) as refused:
        check(url)
    assert "secret" not in str(refused.value)


def test_a_cluster_url_is_taken_apart() -> None:
    url = ClusterUrl.parse("rediss+cluster://ann:p@a:1,b?client_name=n")
    assert url.servers == ("rediss://ann:p@a:1?client_name=n", "rediss://ann:p@b:6379?client_name=n")
    assert url.at("::1", 7) == "rediss://ann:p@[::1]:7?client_name=n"


@pytest.mark.parametrize(
    ("prefix", "tag"), [("{eu}:", "eu"), ("a{eu}{us}", "eu"), ("eu:", None), ("{}eu", None), ("{eu", None), ("", None)]
)
def test_the_hash_tag_is_what_redis_takes_for_one(prefix: str, tag: str | None) -> None:
    assert hash_tag(prefix) == tag
