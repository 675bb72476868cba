"""A reverse proxy in front of kube-apiserver, for one client: it records, cuts, injects faults, holds requests."""

from devcluster.api_proxy.faults import EventFault, Fault, Faults
from devcluster.api_proxy.line import Cut
from devcluster.api_proxy.proxy import ApiProxy
from devcluster.api_proxy.requests import ApiRequest, Exchange

__all__ = ["ApiProxy", "ApiRequest", "Cut", "EventFault", "Exchange", "Fault", "Faults"]
