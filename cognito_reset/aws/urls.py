"""
The endpoint for AWS SDKs: ``path("cognito", include("cognito_reset.aws.urls"))``, without a slash
at the end, for SDKs send to "/cognito", "/cognito/" or "/cognito//" and follow no redirect; or
``path("", …)`` on a host of its own. Pools as in ``cognito_reset.urls``.
"""

from __future__ import annotations

from django.urls import re_path

from cognito_reset.aws.views import AWSJSONView

app_name = "cognito_reset_aws"
urlpatterns = [re_path(r"^[/]*$", AWSJSONView.as_view(), name="endpoint")]
