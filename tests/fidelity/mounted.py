"""httpbin, told the path below which the outside sees it (WSGI's SCRIPT_NAME)."""
import os

from httpbin import app as httpbin


def app(environ, start_response):
    environ["SCRIPT_NAME"] = os.environ["MOUNTED_AT"]
    return httpbin(environ, start_response)
