"""
The endpoint for AWS SDKs: ``path("cognito", include("cognito_reset.aws.urls"))``, without a slash
at the end, because SDKs post to "/cognito", with no slash or up to three slashes after it, and follow no
redirect; or ``path("", …)`` on a host of its own. For pools, see ``cognito_reset.urls``.
"""

from __future__ import annotations

from django.urls import re_path

from cognito_reset.aws.views import AWSJSONView

app_name = "cognito_reset_aws"
urlpatterns = [re_path(r"^[/]*$", AWSJSONView.as_view(), name="endpoint")]
