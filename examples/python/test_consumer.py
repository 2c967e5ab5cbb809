"""Tests consumer.py with `ackline fake` in Kafka's place: python -m unittest examples/python/test_consumer.py"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

ACKLINE = os.environ.get("ACKLINE", "ackline")
CONSUMER = pathlib.Path(__file__).with_name("consumer.py")
RECORDS = [{"key": key, "value": f"{key}{number}"} for number in range(10) for key in "abc"]


def work_off(lines):
    """Lets the consumer work on these lines; returns the exit code and the summary of `ackline fake`."""
    with tempfile.TemporaryDirectory() as directory:
        records = pathlib.Path(directory, "records.jsonl")
        records.write_text("\n".join(json.dumps(line) for line in lines))
        target = f"unix:{directory}/ackline.sock"
        words = ["--records", records, "--listen", target, "--until-settled", "--timeout", "60s", "--output", "json"]
        fake = subprocess.Popen([ACKLINE, "fake", *words], stdout=subprocess.PIPE)
        consumer = subprocess.Popen([sys.executable, CONSUMER], env={**os.environ, "ACKLINE_TARGET": target})
        summary = fake.communicate()[0]
        consumer.terminate()
        consumer.wait()
        return fake.returncode, json.loads(summary)


class ConsumerTest(unittest.TestCase):
    def test_everything_is_settled(self):
        code, summary = work_off(RECORDS)
        self.assertEqual((code, summary["acknowledged"]), (0, len(RECORDS)), summary)

    def test_a_bad_day_changes_nothing(self):
        bad_day = [
            {"do": "close_streams", "after_delivered": 5},
            {"do": "lose", "partition": 0, "after_delivered": 12},
            {"do": "revoke", "partition": 0, "after_delivered": 20},
        ]
        code, summary = work_off(RECORDS + bad_day)
        self.assertEqual((code, summary["script_not_reached"]), (0, []), summary)


if __name__ == "__main__":
    unittest.main()
