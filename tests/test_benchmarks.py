"""The page of measured speeds shows what was measured, and says what CPU time it counted."""

import json
import sys

from benchmarks import speed


def test_the_page_is_made_of_the_results():
    assert speed.PAGE.read_text() == speed.page(json.loads(speed.RESULT.read_text()))


def test_what_orphans_and_children_use_counts(tmp_path):
    busy = "import time\nwhile time.process_time() < 0.3: pass"
    orphan = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {busy!r}], start_new_session=True)"
    cpu, wall = speed.seconds([sys.executable, "-c", orphan], str(tmp_path))
    assert cpu >= 0.3
    assert wall >= 0.3
