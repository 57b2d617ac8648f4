"""Where the views are."""

from django.urls import path

from api import views

urlpatterns = [
    path("me", views.me),
    path("reports", views.reports),
    path("payments", views.pay),
]
