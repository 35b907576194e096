"""Reads OpenMetrics from standard input with the strict parser of prometheus-client.

Prints one JSON object: for each family its type, its unit, its help and the number of its samples.
The parser raises an error at the first thing that the specification does not allow.
"""

import json
import sys

from prometheus_client.openmetrics.parser import text_string_to_metric_families

families = {
    family.name: {
        "type": family.type,
        "unit": family.unit,
        "help": family.documentation,
        "samples": len(family.samples),
    }
    for family in text_string_to_metric_families(sys.stdin.read())
}
json.dump(families, sys.stdout)
