"""The lab's MLflow behind a stand-in for IAP: each sees what the whitelist says, and nothing else."""

from __future__ import annotations

import hashlib
import hmac
import os
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ec
from iap import AUDIENCE, Iap, encoded
from mlflow_server import ask, postgres, served

pytest.importorskip("mlflow")

ALICE, BOB, CAROL, EVE, ROOT = (f"{name}@lab.example" for name in ("alice", "bob", "carol", "eve", "root"))
PEOPLE = {
    ALICE: ["alice", "team-ads"],
    BOB: ["bob", "team-ads:reader"],
    CAROL: ["carol", "team-ads"],
    ROOT: ["*:admin"],
}
API = "api/2.0/mlflow"


class Lab:
    """A server, IAP before it, and what alice has made there."""

    def __init__(self, iap, port, process, log, whitelist):
        self.iap, self.port, self.process, self.log, self.whitelist = iap, port, process, log, whitelist

    def ask(self, who, path, body=None, method="", headers=()):
        return ask(self.iap.port, path, body, method, [("Authorization", f"Bearer {who}"), *headers])

    def made(self, who, path, body):
        answer = self.ask(who, path, body)
        assert answer.status == 200, answer.text
        return answer.json

    def fill(self, who, workspace):
        """A run with a metric and a file, a model with a version, a logged model and a trace."""
        at = f"/{workspace}/{API}"
        experiment = self.made(who, f"{at}/experiments/create", {"name": "ctr"})["experiment_id"]
        run = self.made(who, f"{at}/runs/create", {"experiment_id": experiment})["run"]["info"]
        self.made(who, f"{at}/runs/log-metric", {"run_id": run["run_id"], "key": "auc", "value": 0.8, "timestamp": 1})
        file = f"{run['artifact_uri'].removeprefix('mlflow-artifacts:/')}/notes.txt"
        put = self.ask(who, f"/{workspace}/api/2.0/mlflow-artifacts/artifacts/{file}", b"secret notes", "PUT")
        assert put.status == 200, put.text
        self.made(who, f"{at}/registered-models/create", {"name": "ctr"})
        version = {"name": "ctr", "source": run["artifact_uri"], "run_id": run["run_id"]}
        self.made(who, f"{at}/model-versions/create", version)
        logged = self.made(who, f"{at}/logged-models", {"experiment_id": experiment, "name": "deepfm"})
        return {
            "experiment": experiment,
            "run": run["run_id"],
            "uri": run["artifact_uri"],
            "file": file,
            "model": logged["model"]["info"]["model_id"],
        }

    @contextmanager
    def whitelisted(self, people=None, text=""):
        """Another whitelist for a while, put in place at once as a mounted secret is."""
        before = self.whitelist.read_text()
        try:
            write(self.whitelist, text or yaml.safe_dump({"ask": "#ailab-platform", "people": people}))
            yield
        finally:
            write(self.whitelist, before)


def write(path, text):
    part = path.with_name(f"{path.name}.part")
    part.write_text(text)
    part.replace(path)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def lab(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(f"mlflow-{request.param}")
    whitelist = folder / "whitelist.yaml"
    whitelist.write_text(yaml.safe_dump({"ask": "#ailab-platform", "people": PEOPLE}))
    with ExitStack() as stack:
        iap = Iap()
        stack.callback(iap.stop)
        options = ["--identity", "iap", "--iap-audience", AUDIENCE, "--iap-keys", iap.keys_url]
        env = {}
        if request.param == "postgresql":
            env["MLFLOW_BACKEND_STORE_URI"] = stack.enter_context(postgres())
        port, process, log = stack.enter_context(
            served(folder / "server", *options, "--whitelist", str(whitelist), env=env)
        )
        iap.server_port = port
        made = Lab(iap, port, process, log, whitelist)
        made.alice = made.fill(ALICE, "alice")
        made.team = made.fill(ALICE, "team-ads")
        made.bob = made.fill(BOB, "bob")
        yield made


def test_a_person_reads_what_they_made(lab):
    run = lab.ask(ALICE, f"/alice/{API}/runs/get?run_id={lab.alice['run']}").json["run"]
    assert run["data"]["metrics"][0]["value"] == 0.8
    assert lab.ask(ALICE, f"/alice/api/2.0/mlflow-artifacts/artifacts/{lab.alice['file']}").text == "secret notes"


def test_two_people_have_experiments_and_models_of_one_name(lab):
    assert lab.alice["experiment"] != lab.bob["experiment"]
    for who, at in ((ALICE, "alice"), (BOB, "bob")):
        assert lab.ask(who, f"/{at}/{API}/registered-models/get?name=ctr").json["registered_model"]["name"] == "ctr"


def refused_requests(made):
    """Requests for what alice has in her workspace: path, without the workspace, and body."""
    e, run, model = made["experiment"], made["run"], made["model"]
    for api in ("api", "ajax-api"):
        yield f"{api}/2.0/mlflow/experiments/get?experiment_id={e}", None
        yield f"{api}/2.0/mlflow/experiments/update", {"experiment_id": e, "new_name": "mine"}
        yield f"{api}/2.0/mlflow/runs/get?run_id={run}", None
        yield f"{api}/2.0/mlflow/runs/delete", {"run_id": run}
        yield f"{api}/2.0/mlflow/runs/log-metric", {"run_id": run, "key": "auc", "value": 1, "timestamp": 1}
        yield f"{api}/2.0/mlflow/runs/create", {"experiment_id": e}
        yield f"{api}/2.0/mlflow/artifacts/list?run_id={run}", None
        yield f"{api}/2.0/mlflow/logged-models/{model}", None
        yield f"{api}/2.0/mlflow-artifacts/artifacts/{made['file']}", None
        yield f"{api}/2.0/mlflow-artifacts/artifacts/{made['file']}", b"overwritten"
        yield f"{api}/2.0/mlflow-artifacts/artifacts?path={made['file'].removesuffix('/notes.txt')}", None
        yield f"{api}/2.0/mlflow/metrics/get-history?run_id={run}&metric_key=auc", None
    yield f"get-artifact?path=notes.txt&run_uuid={run}", None
    yield f"ajax-api/2.0/mlflow/metrics/get-history-bulk?run_id={run}&metric_key=auc", None
    yield f"ajax-api/2.0/mlflow/upload-artifact?run_uuid={run}&path=x.txt", b"x"
    yield f"ajax-api/2.0/mlflow/logged-models/{model}/artifacts/files?artifact_file_path=x", None


def method_of(body):
    return "PUT" if isinstance(body, bytes) else ""


def test_another_persons_workspace_is_refused_whatever_is_asked(lab):
    for path, body in refused_requests(lab.alice):
        answer = lab.ask(BOB, f"/alice/{path}", body, method_of(body))
        assert (answer.status, "bob@lab.example may not use the workspace 'alice'" in answer.text) == (403, True), path


def test_another_persons_things_are_refused_from_ones_own_workspace(lab):
    for path, body in refused_requests(lab.alice):
        answer = lab.ask(BOB, f"/bob/{path}", body, method_of(body))
        assert answer.status in (403, 404, 405), (path, answer.status, answer.text)
        assert "secret notes" not in answer.text


def test_another_persons_things_are_refused_without_a_workspace(lab):
    for path, body in refused_requests(lab.alice):
        answer = lab.ask(BOB, f"/{path}", body, method_of(body))
        assert answer.status in (403, 404, 405), (path, answer.status, answer.text)


@pytest.mark.parametrize("name", ["X-MLFLOW-WORKSPACE", "x-mlflow-workspace", "X_MLFLOW_WORKSPACE"])
def test_the_header_of_a_client_names_no_workspace_that_the_path_does_not(lab, name):
    body = {"max_results": 100}
    found = lab.ask(BOB, f"/bob/{API}/experiments/search", body, headers=[(name, "alice"), (name, "alice")])
    assert {e["experiment_id"] for e in found.json["experiments"]} == {lab.bob["experiment"]}
    assert lab.ask(BOB, f"/{API}/experiments/search", body, headers=[(name, "alice")]).status == 403


def test_a_header_that_stands_twice_is_refused(lab):
    headers = [("X-MLFLOW-WORKSPACE", "bob"), ("x-mlflow-workspace", "alice")]
    assert lab.ask(BOB, f"/{API}/experiments/search", {"max_results": 9}, headers=headers).status == 400


def test_the_header_serves_as_well_as_the_path(lab):
    found = lab.ask(BOB, f"/{API}/runs/get?run_id={lab.bob['run']}", headers=[("X-MLFLOW-WORKSPACE", "bob")])
    assert found.json["run"]["info"]["run_id"] == lab.bob["run"]


@pytest.mark.parametrize(
    "path",
    [
        "/bob/../alice/{api}/runs/get?run_id={run}",
        "/bob/%2e%2e/alice/{api}/runs/get?run_id={run}",
        "/bob/%252e%252e/alice/{api}/runs/get?run_id={run}",
        "/bob%2F..%2Falice/{api}/runs/get?run_id={run}",
        "//alice/{api}/runs/get?run_id={run}",
        "/bob//alice/{api}/runs/get?run_id={run}",
        "/bob/..%5calice/{api}/runs/get?run_id={run}",
        "/bob/api/2.0/mlflow-artifacts/artifacts/workspaces/bob/../alice/x",
        "/bob/api/2.0/mlflow-artifacts/artifacts/workspaces/bob/%2e%2e/alice/x",
        "/bob/api/2.0/mlflow-artifacts/artifacts/workspaces/bob%2f..%2falice/x",
        "/bob/api/2.0/mlflow-artifacts/artifacts/%2fetc/passwd",
        "/static-files/../{api}/runs/get?run_id={run}",
    ],
)
def test_a_path_that_climbs_is_refused(lab, path):
    sent = [("X-Goog-IAP-JWT-Assertion", lab.iap.token(BOB))]  # straight: the stand-in's library mends some
    assert ask(lab.port, path.format(api=API, run=lab.alice["run"]), headers=sent).status == 400


@pytest.mark.parametrize("climb", ["../alice", "..%2falice", "%252e%252e/alice"])
def test_a_listing_that_climbs_is_refused(lab, climb):
    answer = lab.ask(BOB, f"/bob/api/2.0/mlflow-artifacts/artifacts?path=workspaces/bob/{climb}")
    assert answer.status in (400, 403)


def test_a_workspace_in_other_letters_is_decoded_once_and_refused(lab):
    assert lab.ask(BOB, f"/%61lice/{API}/runs/get?run_id={lab.alice['run']}").status == 403


def test_graphql_tells_nothing_of_another_workspace(lab):
    text = "query q($data: MlflowGetRunInput!) { mlflowGetRun(input: $data) { run { info { runId } } } }"
    query = {"operationName": "q", "query": text, "variables": {"data": {"runId": lab.alice["run"]}}}
    assert lab.ask(ALICE, "/alice/graphql", query).json["data"]["mlflowGetRun"]["run"]["info"]["runId"]
    assert lab.ask(BOB, "/alice/graphql", query).status == 403
    assert lab.ask(BOB, "/graphql", query, headers=[("X-MLFLOW-WORKSPACE", "alice")]).status == 403
    own = lab.ask(BOB, "/bob/graphql", query)
    assert lab.alice["run"] not in own.text, own.text


def searches(made):
    """Searches that name what alice has: path, without the workspace, and body."""
    experiment, run = made["experiment"], made["run"]
    yield f"{API}/runs/search", {"experiment_ids": [experiment]}
    yield f"{API}/logged-models/search", {"experiment_ids": [experiment]}
    yield f"{API}/registered-models/search?max_results=100", None
    yield f"{API}/model-versions/search?max_results=100&filter=run_id%3D'{run}'", None
    yield "ajax-api/2.0/mlflow/experiments/search-datasets", {"experiment_ids": [experiment]}
    yield "ajax-api/3.0/mlflow/traces/search", {"locations": [_location(experiment)], "max_results": 10}
    yield f"api/2.0/mlflow/traces?experiment_ids={experiment}", None


def _location(experiment):
    return {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment}}


def test_a_search_from_another_workspace_finds_nothing_of_it(lab):
    for path, body in searches(lab.alice):
        own = lab.ask(ALICE, f"/alice/{path}", body)
        assert own.status == 200, (path, own.text)
        answer = lab.ask(BOB, f"/bob/{path}", body)
        assert answer.status in (200, 403, 404), (path, answer.text)
        assert not [word for word in (lab.alice["run"], lab.alice["model"]) if word in answer.text.split("filter")[0]]


def test_a_trace_goes_into_no_experiment_of_another_workspace(lab):
    info = {"trace_id": "tr-1", "trace_location": _location(lab.alice["experiment"]), "state": "OK"}
    trace = {"trace": {"trace_info": info | {"request_time": "2026-01-01T00:00:00Z"}}}
    assert lab.ask(BOB, "/bob/api/3.0/mlflow/traces", trace).status in (403, 404)
    spans = [("x-mlflow-experiment-id", lab.alice["experiment"])]
    assert lab.ask(BOB, "/bob/v1/traces", b"", "POST", spans).status in (400, 403, 404, 422)
    assert lab.ask(ALICE, "/alice/api/3.0/mlflow/traces", trace).status == 200


@pytest.mark.parametrize("path", ["/bob/gateway/x/mlflow/invocations", "/ajax-api/3.0/mlflow/assistant/message"])
def test_what_runs_commands_on_the_server_is_off(lab, path):
    assert "switched off" in lab.ask(BOB, path, {}).text


def test_a_version_of_a_model_takes_no_files_of_another_workspace(lab):
    for source in (lab.alice["uri"], f"mlflow-artifacts:/{lab.alice['file']}", f"models:/{lab.alice['model']}"):
        answer = lab.ask(BOB, f"/bob/{API}/model-versions/create", {"name": "ctr", "source": source})
        assert answer.status in (400, 403, 404), (source, answer.text)


def test_a_version_of_a_model_takes_no_file_of_the_server(lab):
    answer = lab.ask(BOB, f"/bob/{API}/model-versions/create", {"name": "ctr", "source": "file:///etc"})
    assert answer.status == 400


def test_a_reader_of_a_team_reads_its_runs_and_files(lab):
    assert lab.ask(BOB, f"/team-ads/{API}/runs/get?run_id={lab.team['run']}").status == 200
    assert lab.ask(BOB, f"/team-ads/api/2.0/mlflow-artifacts/artifacts/{lab.team['file']}").text == "secret notes"
    assert lab.ask(BOB, f"/team-ads/{API}/registered-models/get?name=ctr").status == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("runs/log-metric", {"run_id": "{run}", "key": "auc", "value": 1, "timestamp": 1}),
        ("runs/create", {"experiment_id": "{experiment}"}),
        ("runs/set-tag", {"run_id": "{run}", "key": "a", "value": "b"}),
        ("runs/delete", {"run_id": "{run}"}),
        ("experiments/create", {"name": "new"}),
        ("experiments/delete", {"experiment_id": "{experiment}"}),
        ("registered-models/create", {"name": "new"}),
        ("registered-models/set-tag", {"name": "ctr", "key": "a", "value": "b"}),
        ("registered-models/alias", {"name": "ctr", "alias": "champion", "version": "1"}),
        ("model-versions/create", {"name": "ctr", "source": "{uri}"}),
        ("logged-models", {"experiment_id": "{experiment}", "name": "x"}),
    ],
)
def test_a_reader_of_a_team_writes_nothing(lab, path, body):
    filled = {key: value.format(**lab.team) if isinstance(value, str) else value for key, value in body.items()}
    assert lab.ask(BOB, f"/team-ads/{API}/{path}", filled).status == 403


def test_a_reader_of_a_team_overwrites_no_file(lab):
    path = f"/team-ads/api/2.0/mlflow-artifacts/artifacts/{lab.team['file']}"
    assert lab.ask(BOB, path, b"other", "PUT").status == 403
    assert lab.ask(BOB, path, method="DELETE").status == 403


def test_a_member_writes_into_what_another_member_made(lab):
    metric = {"run_id": lab.team["run"], "key": "loss", "value": 1, "timestamp": 1}
    assert lab.ask(CAROL, f"/team-ads/{API}/runs/log-metric", metric).status == 200


def test_a_person_is_shown_only_their_workspaces(lab):
    found = lab.ask(BOB, "/ajax-api/3.0/mlflow/workspaces").json["workspaces"]
    assert {workspace["name"] for workspace in found} == {"bob", "team-ads"}


def test_an_admin_sees_every_workspace(lab):
    for at, made in (("alice", lab.alice), ("bob", lab.bob)):
        assert lab.ask(ROOT, f"/{at}/{API}/runs/get?run_id={made['run']}").status == 200


def test_who_is_not_in_the_whitelist_is_told_whom_to_ask(lab):
    for path in (f"/alice/{API}/experiments/search?max_results=1", "/", "/eve/", "/static-files/x.js", "/version"):
        answer = lab.ask(EVE, path)
        assert answer.status == 403
        assert "eve@lab.example is not in the lab's whitelist; ask #ailab-platform." in answer.text


def test_whether_a_workspace_exists_is_not_told(lab):
    there, absent = (lab.ask(BOB, f"/{name}/{API}/experiments/search?max_results=1") for name in ("alice", "nobody"))
    assert (there.status, there.text) == (absent.status, absent.text.replace("nobody", "alice"))


def test_a_name_that_mlflow_refuses_is_told(lab):
    answer = lab.ask(BOB, f"/Taro_Yamada/{API}/experiments/search?max_results=1")
    assert (answer.status, "'Taro_Yamada' can't be a workspace" in answer.text) == (404, True)


def tokens(iap):
    """Tokens that are not IAP's, by what is wrong with them."""
    body = {"iss": "https://cloud.google.com/iap", "aud": AUDIENCE, "email": ALICE, "iat": 1, "exp": 4_000_000_000}
    good, now = iap.token(ALICE), int(time.time())
    pem = iap.public_keys()["k1"].encode()

    def other(alg, signature=b"", **header):
        signed = f"{encoded({'alg': alg, 'typ': 'JWT', **header})}.{encoded(body)}"
        return (
            f"{signed}.{encoded(signature if signature else hmac.new(pem, signed.encode(), hashlib.sha256).digest())}"
        )

    return {
        "HS256 with the public key": other("HS256", kid="k1"),
        "HS256 without a key's id": other("HS256"),
        "alg none": other("none", kid="k1").rpartition(".")[0] + ".",
        "RS256": other("RS256", b"x" * 256, kid="k1"),
        "no signature": good.rpartition(".")[0] + ".",
        "the first two parts only": good.rpartition(".")[0],
        "another's key": iap.token(ALICE, key=ec.generate_private_key(ec.SECP256R1())),
        "changed": ".".join([good.split(".")[0], encoded({**body, "email": ROOT}), good.split(".")[2]]),
        "expired": iap.token(ALICE, iat=now - 900, exp=now - 300),
        "from the future": iap.token(ALICE, iat=now + 300),
        "without an end": iap.token(ALICE, exp=None),
        "another audience": iap.token(ALICE, aud="/projects/1/global/backendServices/2"),
        "no audience": iap.token(ALICE, aud=None),
        "another issuer": iap.token(ALICE, iss="https://accounts.google.com"),
        "no e-mail": iap.token(""),
        "an e-mail that is none": iap.token(7),
        "nothing": "",
        "no token": "Bearer x",
        "not ASCII": "é.è.ê",
        "lists in place of objects": ".".join([encoded([1]), encoded([2]), encoded(b"x")]),
    }


def test_a_token_that_is_not_iaps_is_refused(lab):
    path = f"/alice/{API}/runs/get?run_id={lab.alice['run']}"
    assert ask(lab.port, path, headers=[("x-goog-iap-jwt-assertion", lab.iap.token(ALICE))]).status == 200
    found = {
        what: ask(lab.port, path, headers=[("X-Goog-IAP-JWT-Assertion", token.encode("utf-8"))]).status
        for what, token in tokens(lab.iap).items()
    }
    assert found == dict.fromkeys(found, 401)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("X-Goog-Authenticated-User-Email", f"accounts.google.com:{ALICE}")],
        [("Authorization", "Basic YWxpY2VAbGFiLmV4YW1wbGU6")],
        [("X-Forwarded-User", ALICE), ("X-Forwarded-Email", ALICE)],
    ],
)
def test_headers_that_are_not_signed_name_nobody(lab, headers):
    for path in (f"/alice/{API}/runs/get?run_id={lab.alice['run']}", "/", "/alice/", "/v1/traces", "/graphql"):
        assert ask(lab.port, path, headers=headers).status == 401


def test_a_good_token_beside_a_second_one_is_refused(lab):
    headers = [("X-Goog-IAP-JWT-Assertion", lab.iap.token(who)) for who in (BOB, ALICE)]
    assert ask(lab.port, f"/alice/{API}/runs/get?run_id={lab.alice['run']}", headers=headers).status == 401


def test_the_health_of_the_server_is_told_to_all(lab):
    assert ask(lab.port, "/health").status == 200


def often(lab, *given, **more):
    """The statuses of requests that reach all workers."""
    return {lab.ask(*given, **more).status for _ in range(12)}


def test_a_line_that_is_removed_is_refused_at_once(lab):
    path = f"/alice/{API}/runs/get?run_id={lab.alice['run']}"
    with lab.whitelisted({who: at for who, at in PEOPLE.items() if who != ALICE}):
        assert often(lab, ALICE, path) == {403}
    assert often(lab, ALICE, path) == {200}


def test_a_person_who_is_added_is_let_in_at_once(lab):
    with lab.whitelisted(PEOPLE | {EVE: ["eve-new"]}):
        assert often(lab, EVE, f"/eve-new/{API}/experiments/search", {"max_results": 1}) == {200}
    assert often(lab, EVE, f"/eve-new/{API}/experiments/search", {"max_results": 1}) == {403}


def test_a_role_that_is_lowered_to_reader_also_takes_what_the_person_made(lab):
    own = lab.fill(CAROL, "carol")
    body = {"run_id": own["run"], "key": "a", "value": "b"}
    assert often(lab, CAROL, f"/carol/{API}/runs/set-tag", body) == {200}
    with lab.whitelisted(PEOPLE | {CAROL: ["carol:reader"]}):
        assert often(lab, CAROL, f"/carol/{API}/runs/set-tag", body) == {403}
        assert often(lab, CAROL, f"/carol/{API}/experiments/delete", {"experiment_id": own["experiment"]}) == {403}
        assert often(lab, CAROL, f"/carol/{API}/runs/get?run_id={own['run']}") == {200}
        assert often(lab, CAROL, f"/team-ads/{API}/runs/get?run_id={lab.team['run']}") == {403}
        assert often(lab, CAROL, f"/carol/{API}/runs/get?run_id={lab.team['run']}") <= {403, 404}


def test_an_admin_whose_line_is_lowered_is_one_no_longer(lab):
    path = f"/alice/{API}/runs/get?run_id={lab.alice['run']}"
    with lab.whitelisted(PEOPLE | {ROOT: ["bob:reader"]}):
        assert often(lab, ROOT, path) == {403}
        assert often(lab, ROOT, f"/{API}/runs/get?run_id={lab.alice['run']}") <= {403, 404}
        assert often(lab, ROOT, f"/bob/{API}/experiments/create", {"name": "x"}) == {403}


@pytest.mark.parametrize("text", ["people: [", "", "people: {}", "people: {eve@lab.example: [Taro_Yamada]}", "\0"])
def test_a_broken_edit_locks_nobody_out_and_lets_nobody_in(lab, text):
    path = f"/alice/{API}/runs/get?run_id={lab.alice['run']}"
    with lab.whitelisted(text=text or " "):
        assert often(lab, ALICE, path) == {200}
        assert often(lab, EVE, path) == {403}


def test_a_whitelist_that_is_gone_for_a_moment_locks_nobody_out(lab):
    path = f"/alice/{API}/runs/get?run_id={lab.alice['run']}"
    with lab.whitelisted(PEOPLE):
        lab.whitelist.unlink()
        try:
            assert often(lab, ALICE, path) == {200}
            assert often(lab, EVE, path) == {403}
        finally:
            write(lab.whitelist, yaml.safe_dump({"people": PEOPLE}))


def test_a_workspace_admin_cannot_let_others_in(lab):
    with lab.whitelisted(PEOPLE | {ALICE: ["alice:admin", "team-ads"]}):
        grant = {"username": BOB, "resource_type": "experiment", "permission": "READ"}
        lab.ask(
            ALICE, "/alice/api/3.0/mlflow/users/permissions/grant", grant | {"resource_id": lab.alice["experiment"]}
        )
        assert lab.ask(BOB, f"/alice/{API}/runs/get?run_id={lab.alice['run']}").status == 403
        assert lab.ask(BOB, f"/bob/{API}/runs/get?run_id={lab.alice['run']}").status in (403, 404)


def test_a_person_makes_nobody_an_admin(lab):
    for api in ("api/2.0", "ajax-api/2.0"):
        body = {"username": BOB, "is_admin": True}
        assert lab.ask(BOB, f"/bob/{api}/mlflow/users/update-admin", body, "PATCH").status == 403
        assert lab.ask(BOB, f"/bob/{api}/mlflow/users/create", {"username": EVE, "password": "x" * 12}).status == 403


def test_the_page_of_a_workspace_opens_mlflows_page_with_it(lab):
    for path in ("/alice", "/alice/"):
        answer = lab.ask(ALICE, path)
        assert answer.status == 200
        assert '"workspace=alice"' in answer.text  # where its script goes: tests/test_mlflow_ui.py
    assert "<title>MLflow" in lab.ask(ALICE, "/").text


def test_no_command_line_shows_the_password_of_the_database(lab):
    shown = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if os.access(path, os.R_OK)]
    assert not [line for line in shown if b"secret-word" in line]


def test_secrets_are_for_the_owner_alone(lab):
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in lab.log.parent.iterdir()}
    assert (modes["secret_key"], modes["auth.ini"]) == ("0o600", "0o600")
