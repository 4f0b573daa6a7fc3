"""A running demo that has drifted, with a Prometheus and an Alertmanager that watch it."""

import requests

from driftd import addresses, binary
from processes import Process, wait_until
from prometheus import RULES, Alertmanager, Prometheus


class WatchedDemo:
    """Started once for a session; nobody changes it."""

    def __init__(self, directory):
        self.processes = []
        try:
            self.start(directory)
        except BaseException:
            self.close()
            raise

    def start(self, directory):
        window = directory / "demo.db"
        self.demo = self.keep(
            Process([binary(), "demo", "--window", window], directory, name="demo")
        )
        self.page = wait_until(lambda: addresses(self.demo.stdout), 30, "the demo's addresses")[
            "page"
        ]
        self.alertmanager = self.keep(Alertmanager(directory / "alertmanager"))
        self.prometheus = self.keep(
            Prometheus(
                directory / "prometheus",
                self.page,
                rules=RULES,
                alertmanager=self.alertmanager,
            )
        )
        wait_until(self.drifted, 60, "drift in the demo")
        # The rules have read what was scraped of it, and more than one scrape stands behind rates.
        recorded = "driftd_feature:drift_effect:held"
        wait_until(lambda: self.prometheus.query(recorded), 30, "the drift in Prometheus")
        wait_until(self.prometheus.alerts, 30, "an alert")
        # The rules over a day look once a minute.
        day = "driftd_fleet:drift_statistic:psi_1d"
        wait_until(lambda: self.prometheus.query(day), 75, "the rules over a day")

    def keep(self, process):
        self.processes.append(process)
        return process

    def report(self):
        return requests.get(self.page + "/api/v1/drift", timeout=10).json()

    def drifted(self):
        assert self.demo.running(), self.demo.describe()
        return any(model["drifted"] for model in self.report()["models"])

    def close(self):
        for process in reversed(self.processes):
            process.close()
