"""The test server against the real client: what is sent is stored and served back."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hub.server import HubServer, User


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    (folder / "README.md").write_text("---\ntags: [CartPole-v1]\nlibrary_name: stable-baselines3\n---\nhello\n")
    (folder / "model.zip").write_bytes(b"PK" + bytes(range(256)) * 40)
    (folder / "sub" / "config.json").write_text("{}")
    return folder


@pytest.mark.parametrize("regular_only", [False, True])
def test_what_is_uploaded_comes_back(hub: HubServer, folder: Path, tmp_path: Path, regular_only: bool) -> None:
    from huggingface_hub import HfApi, ModelCard, snapshot_download

    hub.regular_only = regular_only
    api = HfApi()
    assert api.whoami()["name"] == "me"
    assert api.create_repo("me/ppo", private=True).repo_id == "me/ppo"
    first = api.upload_folder(repo_id="me/ppo", folder_path=folder)

    assert hub.count("lfs-upload") == (0 if regular_only else 1)
    assert api.list_repo_files("me/ppo") == [".gitattributes", "README.md", "model.zip", "sub/config.json"]
    assert api.model_info("me/ppo").sha == first.oid
    assert api.model_info("me/ppo").private
    copy = Path(snapshot_download("me/ppo", local_dir=tmp_path / "copy"))
    for name in ("README.md", "model.zip", "sub/config.json"):
        assert (copy / name).read_bytes() == (folder / name).read_bytes()
    assert ModelCard.load("me/ppo").data.tags == ["CartPole-v1"]

    again = api.upload_folder(repo_id="me/ppo", folder_path=folder)
    assert again.oid == first.oid
    assert len(hub.repos["me/ppo"].commits) == 2
    api.delete_file("sub/config.json", "me/ppo")
    assert "sub/config.json" not in hub.files("me/ppo")
    assert "sub/config.json" in hub.files("me/ppo", first.oid)


def test_models_are_listed_by_their_cards(hub: HubServer) -> None:
    from huggingface_hub import HfApi

    for index in range(3):
        card = f"---\ntags: [CartPole-v1, tag{index}]\nlicense: mit\n---\n"
        hub.put(f"me/ppo-{index}", {"README.md": card}, private=index == 2)
    hub.put("you/dqn", {"README.md": "no metadata"})
    api = HfApi()
    assert [model.id for model in api.list_models(author="me")] == ["me/ppo-0", "me/ppo-1", "me/ppo-2"]
    assert [model.id for model in api.list_models(filter=["CartPole-v1", "tag1"])] == ["me/ppo-1"]
    assert [model.id for model in api.list_models(search="DQN")] == ["you/dqn"]
    assert [model.id for model in api.list_models(author="me", token=False)] == ["me/ppo-0", "me/ppo-1"]
    assert len(list(api.list_models(limit=2))) == 2
    data = next(iter(api.list_models(search="ppo-0", cardData=True))).card_data
    assert data is not None
    assert data.license == "mit"


def test_it_refuses_as_the_hub_does(hub: HubServer) -> None:
    from huggingface_hub import HfApi, errors

    hub.users |= {"hf_reader": User("reader", role="read"), "hf_you": User("you")}
    hub.create("you/secret", private=True)
    commit = hub.put("me/open", {"a.txt": "a"})
    api = HfApi()
    with pytest.raises(errors.RepositoryNotFoundError):
        api.model_info("you/secret")
    with pytest.raises(errors.RevisionNotFoundError):
        api.model_info("me/open", revision="nowhere")
    with pytest.raises(errors.RemoteEntryNotFoundError):
        api.hf_hub_download("me/open", "b.txt")
    assert api.hf_hub_download("me/open", "a.txt", revision=commit)
    for token, status in (("hf_reader", 403), ("hf_unknown", 401), (False, 401)):
        with pytest.raises(errors.HfHubHTTPError) as caught:
            HfApi(token=token).create_repo("me/new")
        assert caught.value.response.status_code == status
    with pytest.raises(errors.HfHubHTTPError, match="409"):
        api.create_repo("me/open")
    assert api.create_repo("me/open", exist_ok=True).repo_id == "me/open"
    with pytest.raises(errors.HfHubHTTPError, match="412"):
        api.upload_file(repo_id="me/open", path_in_repo="b", path_or_fileobj=b"b", parent_commit="0" * 40)


def test_it_fails_when_told_to(hub: HubServer) -> None:
    import httpx2

    hub.put("me/ppo", {"a.txt": "0123456789"})
    file = f"{hub.url}/me/ppo/resolve/main/a.txt"
    hub.fail("resolve", at=2, times=2, status=429, retry_after=7)
    with httpx2.Client(timeout=0.5) as client:
        assert [client.get(file).status_code for _ in range(4)] == [200, 429, 429, 200]
        hub.fail("resolve", drop_after=4)
        with pytest.raises(httpx2.RemoteProtocolError):
            client.get(file)
        hub.fail("resolve", hang=30)
        with pytest.raises(httpx2.ReadTimeout):
            client.get(file)
        assert client.get(file, headers={"Range": "bytes=4-"}).text == "456789"


def test_an_upload_can_be_cut(hub: HubServer) -> None:
    import httpx2

    hub.fail("lfs-upload", drop_after=1000)
    with pytest.raises(httpx2.TransportError):
        httpx2.put(f"{hub.url}/lfs/me/ppo/{'0' * 64}", content=bytes(8 * 2**20))
    assert hub.seen[-1].size == 1000
    assert hub.objects == {}
