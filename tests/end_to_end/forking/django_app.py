"""The same in Django."""

import os

import django
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, JsonResponse
from django.urls import path

import hookline

client = hookline.Client(timeout=60)
if os.environ["USED_BEFORE"] == "yes":
    client.health()


def order(_request: HttpRequest) -> JsonResponse:
    job = client.create_job("http://127.0.0.1:9/hook", delay="1h")
    return JsonResponse({"id": job.id, "pid": os.getpid()})


urlpatterns = [path("order", order)]
settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["127.0.0.1"], SECRET_KEY="of a test")
django.setup()
app = WSGIHandler()
