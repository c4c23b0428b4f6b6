"""Checks the ONNX files that scripts/write-onnx-samples.ts writes with the official checker.

    python scripts/check-onnx.py [FILE_OR_FOLDER ...]

Without arguments the samples are written first, twice: with ONNX Runtime's contributed operators and without. The
interpreter needs the package onnx (pip install onnx); npm scripts take it from MODELSMITH_PYTHON. Exit code 1 when a
file fails, 2 when the work cannot begin.
"""

import pathlib
import subprocess
import sys
import tempfile

try:
    import onnx
    import onnx.checker
    import onnx.defs
    import onnx.shape_inference
except ImportError:
    print("the package onnx is needed: pip install onnx", file=sys.stderr)
    sys.exit(2)

def register_runtime_operators() -> None:
    """ONNX Runtime keeps one operator of its own in the standard domain; without a schema the checker refuses it."""
    schema = onnx.defs.OpSchema
    parameters = [
        schema.FormalParameter("X", "T"),
        schema.FormalParameter("scale", "T"),
    ]
    results = [
        schema.FormalParameter("Y", "T"),
        schema.FormalParameter("inv_std", "T", param_option=schema.FormalParameterOption.Optional),
    ]
    onnx.defs.register_schema(
        schema(
            "SimplifiedLayerNormalization",
            "",
            1,
            inputs=parameters,
            outputs=results,
            type_constraints=[("T", ["tensor(float)", "tensor(float16)"], "floats")],
            attributes=[
                schema.Attribute("axis", schema.AttrType.INT),
                schema.Attribute("epsilon", schema.AttrType.FLOAT),
            ],
        )
    )


ROOT = pathlib.Path(__file__).resolve().parent.parent


def problem(path: pathlib.Path) -> str | None:
    """What is wrong with a model, or None. Types and shapes are checked too, where every operator is standard."""
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model, full_check=False)
        if not uses_other_domains(model.graph):
            onnx.checker.check_model(model, full_check=True)
            onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    except Exception as error:  # the checker raises several unrelated kinds
        return str(error).strip()
    return None


def uses_other_domains(graph: onnx.GraphProto) -> bool:
    for node in graph.node:
        if node.domain not in ("", "ai.onnx") or node.op_type == "SimplifiedLayerNormalization":
            return True
        if any(uses_other_domains(attribute.g) for attribute in node.attribute if attribute.HasField("g")):
            return True
    return False


def check(paths: list[pathlib.Path]) -> int:
    failures = 0
    for path in paths:
        found = problem(path)
        if found is not None:
            failures += 1
            print(f"{path.name}: {found}", file=sys.stderr)
    return failures


def models(path: pathlib.Path) -> list[pathlib.Path]:
    return sorted(path.rglob("*.onnx")) if path.is_dir() else [path]


def main(arguments: list[str]) -> int:
    register_runtime_operators()
    with tempfile.TemporaryDirectory() as temporary:
        folders = [pathlib.Path(argument) for argument in arguments]
        if not folders:
            for name, flags in (("contributed", []), ("standard", ["--standard-only"])):
                folder = pathlib.Path(temporary) / name
                command = ["node", str(ROOT / "scripts" / "write-onnx-samples.ts"), str(folder), *flags]
                if subprocess.run(command, check=False).returncode != 0:
                    return 2
                folders.append(folder)
        failed = total = 0
        for folder in folders:
            paths = models(folder)
            total += len(paths)
            failures = check(paths)
            failed += failures
            print(f"{folder.name}: {len(paths) - failures} of {len(paths)} models pass onnx {onnx.__version__}")
    return 1 if failed > 0 or total == 0 else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
