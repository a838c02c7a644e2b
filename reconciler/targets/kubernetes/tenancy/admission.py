"""The namespaces that KubeServe may enter, which RBAC can't express. Pure; part of the manifest of `permissions.py`.

RBAC knows no labels: an account that may create RoleBindings may do so in every namespace, and one that may delete
namespaces may delete any. So an admission policy of the API server restricts KubeServe to namespaces with its own
label, and keeps it from labelling a namespace that somebody else created.

https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/
"""

from __future__ import annotations

from reconciler.targets.kubernetes.objects.identity import MANAGED_BY, MANAGER, Object

GROUP = "admissionregistration.k8s.io"

_RULES = (
    {
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "operations": ["CREATE", "UPDATE", "DELETE"],
        "resources": ["namespaces"],
    },
    {
        "apiGroups": ["rbac.authorization.k8s.io"],
        "apiVersions": ["v1"],
        "operations": ["CREATE", "UPDATE"],
        "resources": ["rolebindings"],
    },
)


def admission_policy(name: str, namespace: str, account: str) -> list[Object]:
    """A policy for one service account, and its binding."""
    user = f"system:serviceaccount:{namespace}:{account}"
    subject = f"s.kind == 'ServiceAccount' && s.namespace == '{namespace}' && s.name == '{account}'"
    validations = [
        {
            "expression": f"request.resource.resource != 'namespaces' || {_marked('variables.before.metadata')}",
            "message": "KubeServe changes and deletes no namespace but its own.",
        },
        {
            "expression": f"request.resource.resource != 'rolebindings' || {_marked('namespaceObject.metadata')}",
            "message": "KubeServe lets itself into no namespace but its own.",
        },
        {
            "expression": f"request.resource.resource != 'rolebindings' || object.subjects.all(s, {subject})",
            "message": "KubeServe lets in nobody but itself.",
        },
    ]
    spec = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": list(_RULES)},
        "matchConditions": [{"name": "kubeserve", "expression": f"request.userInfo.username == '{user}'"}],
        "variables": [{"name": "before", "expression": "request.operation == 'CREATE' ? object : oldObject"}],
        "validations": validations,
    }
    return [
        _object("ValidatingAdmissionPolicy", name, spec),
        _object("ValidatingAdmissionPolicyBinding", name, {"policyName": name, "validationActions": ["Deny"]}),
    ]


def _marked(metadata: str) -> str:
    labels = f"{metadata}.labels"
    return f"(has({labels}) && '{MANAGED_BY}' in {labels} && {labels}['{MANAGED_BY}'] == '{MANAGER}')"


def _object(kind: str, name: str, spec: Object) -> Object:
    return {"apiVersion": f"{GROUP}/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}
