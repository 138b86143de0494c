"""What the embedded engine takes from Flower's private modules: a failure says what broke."""

from __future__ import annotations

import pytest
from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp

from cairn_app import flower_private


def test_flower_is_the_version_that_these_contracts_were_written_for() -> None:
    from importlib.metadata import version

    assert version("flwr").startswith("1.41."), "re-read every contract in this file"


def test_grid_still_asks_for_the_methods_that_the_embedded_grid_has() -> None:
    assert Grid.__abstractmethods__ == {
        "set_run",
        "run",
        "create_message",
        "get_node_ids",
        "push_messages",
        "pull_messages",
        "send_and_receive",
    }


def test_task_identity_lets_a_message_be_built_outside_a_flower_process() -> None:
    flower_private.act_as_server(7)
    message = Message(RecordDict(), 2, "query.round")
    assert message.metadata.run_id == 7
    assert message.metadata.src_node_id == flower_private.SERVER_NODE


def test_server_node_is_flowers_own_number() -> None:
    from flwr.common.constant import SUPERLINK_NODE_ID

    assert SUPERLINK_NODE_ID == flower_private.SERVER_NODE


def test_a_message_takes_the_id_that_we_assign_and_a_reply_names_it() -> None:
    flower_private.act_as_server(7)
    message = Message(RecordDict(), 2, "query.round")
    identifier = flower_private.assign_id(message)
    assert message.metadata.message_id == identifier
    assert Message(RecordDict(), reply_to=message).metadata.reply_to_message_id == identifier


def test_an_empty_run_has_its_id() -> None:
    assert flower_private.empty_run(9).run_id == 9


@pytest.mark.parametrize("category", ["train", "evaluate", "query"])
def test_client_app_routes_a_stage_of_a_category(category: str) -> None:
    app = ClientApp()
    getattr(app, category)("round")(
        lambda message, context: Message(
            RecordDict({"seen": ConfigRecord({"by": category})}), reply_to=message
        )
    )
    flower_private.act_as_server(7)
    message = Message(RecordDict(), 2, f"{category}.round")
    flower_private.assign_id(message)
    reply = app(message, Context(7, 2, {}, RecordDict(), {}))
    assert reply.content.config_records["seen"]["by"] == category


def test_server_app_calls_main_with_the_grid_that_it_was_given() -> None:
    app, seen = ServerApp(), []

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        seen.append((grid, context.run_id))

    app("a grid", Context(7, 0, {}, RecordDict(), {}))
    assert seen == [("a grid", 7)]
