"""A pytest plugin: the fixture `httpbin` is what stands at HTTPBIN_URL, not a server in the process of the tests.

What speaks TLS stays local. Names below `.localhost` are this machine, as RFC 6761 says, whatever the resolver thinks.
"""
import os
import socket

import pytest
from pytest_httpbin.plugin import *  # noqa: F401,F403 - the other fixtures of the plugin

resolve = socket.getaddrinfo


def at_home(host, *rest, **more):
    text = host.decode() if isinstance(host, bytes) else host
    return resolve("127.0.0.1" if text and text.endswith(".localhost") else host, *rest, **more)


socket.getaddrinfo = at_home


class Elsewhere:
    url = os.environ["HTTPBIN_URL"]

    def __add__(self, path):
        return self.url + path


@pytest.fixture
def httpbin():
    return Elsewhere()
