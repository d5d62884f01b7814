"""The arithmetic of a comparison, the table and the drawings, from figures that nobody has measured."""

import json
import unittest
from pathlib import Path
from xml.etree import ElementTree

import arena
import report
from cases import ALL, CASES, FLOOR, PEERS, Budget

CANNED = json.loads((Path(__file__).parent / "canned.json").read_text())


def result() -> dict:
    return report.summary(CANNED["figures"], CANNED["notes"], CANNED["about"])


class Summary(unittest.TestCase):
    def test_a_row_has_medians_and_all_samples(self):
        row = result()["cases"]["cached-1k"]
        self.assertEqual(row["median"], {"sluice": 5.0, "nginx": 9.0, "haproxy": 8.0, "varnish": 19.0, "floor": 2.5})
        self.assertEqual(row["all"]["sluice"], [5.0, 4.0, 9.0])

    def test_the_ratio_is_to_the_best_peer_and_never_to_the_floor(self):
        row = result()["cases"]["cached-1k"]
        self.assertEqual((row["best_peer"], row["ratio"]), ("haproxy", 0.625))

    def test_a_budget_of_nginx_alone_is_not_held_against_a_better_one(self):
        row = result()["cases"]["proxied-1k"]
        self.assertEqual(row["best_peer"], "haproxy")
        self.assertGreater(row["ratio"], 1)
        self.assertIs(row["holds"], True)

    def test_budgets_hold_up_to_their_figure_and_not_above(self):
        for sluice, expected in ((6.5, True), (6.6, False)):
            self.assertIs(report.holds({"sluice": sluice, "nginx": 10.0}, Budget(0.65)), expected)
        for sluice, expected in ((4.0, True), (4.1, False)):
            self.assertIs(report.holds({"sluice": sluice, "nginx": 1.0}, Budget(most=4.0)), expected)

    def test_without_a_peer_or_sluice_there_is_no_verdict(self):
        self.assertIsNone(report.holds({"sluice": 1.0}, Budget(1.0)))
        self.assertIsNone(report.holds({"nginx": 1.0}, Budget(1.0)))
        self.assertIsNone(report.holds({"nginx": 1.0}, Budget(most=4.0)))
        self.assertIsNone(report.holds({"sluice": 1.0, "nginx": 1.0}, None))
        self.assertIsNone(report.ratio({"sluice": 1.0, "nginx": 0.0}, "nginx"))

    def test_notes_go_with_their_case(self):
        cases = result()["cases"]
        self.assertEqual(cases["p99-half"]["notes"]["sluice"]["saturating_per_s"], 50000)
        self.assertNotIn("notes", cases["cached-1k"])


class Table(unittest.TestCase):
    def test_it_has_a_line_for_each_case_with_its_budget_and_verdict(self):
        lines = report.table(result()).splitlines()
        self.assertEqual(len(lines), 1 + len(CANNED["figures"]))
        by_case = {line.split()[0]: " ".join(line.split()) for line in lines}
        self.assertEqual(
            by_case["cached-1k"], "cached-1k µs CPU 5.00 9.00 8.00 19.0 2.50 0.62 haproxy ≤ 0.65 × best holds",
        )  # fmt: skip
        self.assertEqual(by_case["idle-10k"], "idle-10k KiB 29.0 0.50 1.00 16.0 – 58.00 nginx ≤ 4 does not hold")
        self.assertTrue(by_case["cached-304"].endswith("– –"), by_case["cached-304"])

    def test_who_has_no_figure_anywhere_has_no_column(self):
        some = report.summary({"static-1k": {"sluice": [1.0], "nginx": [2.0]}}, {}, {})
        self.assertNotIn("varnish", report.table(some))


class Drawings(unittest.TestCase):
    def test_each_is_a_whole_picture_with_every_figure(self):
        drawn = report.drawings(result())
        self.assertEqual(set(drawn), {"small.svg", "latency.svg", "memory.svg"})
        words = [element.text for element in ElementTree.fromstring(drawn["small.svg"]).iter() if element.text]
        for word in ("cached, 1 KiB", "5.00", "9.00", "19.0", "2.50", "varnish"):
            self.assertIn(word, words)

    def test_bars_are_as_long_as_their_figures_and_stay_inside(self):
        picture = ElementTree.fromstring(report.drawings(result())["latency.svg"])
        bars = [float(bar.get("width")) for bar in picture.iter("{http://www.w3.org/2000/svg}rect")]
        self.assertEqual(bars, [report.BAR_WIDTH / 4, report.BAR_WIDTH / 2, report.BAR_WIDTH])

    def test_they_need_nothing_from_elsewhere_and_no_background(self):
        for drawn in report.drawings(result()).values():
            for word in ("href", "url(", "<style", "<script", "#fff", "#000"):
                self.assertNotIn(word, drawn)

    def test_every_case_that_is_drawn_is_measured(self):
        for _, cases in report.FIGURES.values():
            self.assertLessEqual(set(cases), set(CASES))


class Cases(unittest.TestCase):
    def test_each_proxy_has_a_port_for_what_it_is_asked_and_no_two_share_one(self):
        ports = {}
        for case in CASES.values():
            for proxy in case.proxies:
                self.assertIn(proxy, [*ALL, FLOOR])
                self.assertEqual(ports.setdefault(case.port(proxy), proxy), proxy)

    def test_nothing_is_promised_against_somebody_who_is_not_asked(self):
        for name, case in CASES.items():
            if case.budget and case.budget.times:
                self.assertTrue(set(case.budget.of) & set(case.proxies) & set(PEERS), name)


class Processes(unittest.TestCase):
    def test_a_tree_is_a_process_and_all_below_it(self):
        processes = {1: (0, 1, 1), 10: (1, 5, 100), 11: (10, 7, 200), 12: (11, 1, 50), 20: (1, 9, 900)}
        self.assertEqual(sorted(arena.tree(10, processes)), [(1, 50), (5, 100), (7, 200)])
        with self.assertRaises(arena.Wrong):
            arena.tree(99, processes)


if __name__ == "__main__":
    unittest.main()
