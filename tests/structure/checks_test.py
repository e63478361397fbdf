#!/usr/bin/env python3
"""The checks of this folder find what they look for: checks_test.py BIN_FOLDER"""
import contextlib
import io
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import comments
import include_graph
import lifetimes
import messages
import shared_symbols
import symbols
import tensor_names
import torch_free
import unity

BIN = pathlib.Path(sys.argv.pop(1))


class IncludeGraph(unittest.TestCase):
    def faults(self, files):
        with tempfile.TemporaryDirectory() as folder:
            lib = pathlib.Path(folder)
            (lib / "CMakeLists.txt").write_text("foreach(room IN ITEMS base data device model)\nendforeach()\n")
            for name, text in files.items():
                (lib / name).parent.mkdir(exist_ok=True)
                (lib / name).write_text(text)
            return [fault.replace(folder + "/", "") for fault in include_graph.faults(lib)]

    def test_downward_is_good(self):
        self.assertEqual(self.faults({"model/a.h": '#include "base/b.h"\n#include "model/c.h"\n#include <torch/types.h>\n',
                                      "data/d.h": '#include <vector>\n#include "base/b.h"\n'}), [])

    def test_upward_is_found(self):
        self.assertEqual(self.faults({"base/a.cc": '#include "base/b.h"\n  # include "data/c.h"\n'}),
                         ["base/a.cc:2: base must not include data (data/c.h), which comes after it"])

    def test_torch_above_the_line_is_found(self):
        for header in ("torch/types.h", "ATen/ATen.h", "c10/core/Device.h"):
            self.assertEqual(self.faults({"data/a.h": f"#include <{header}>\n"}),
                             [f"data/a.h:1: data must not include LibTorch ({header})"])

    def test_unlisted_room_is_found(self):
        self.assertEqual(self.faults({"extra/a.h": ""}),
                         ["extra: the folder is not in the list of rooms in lib/CMakeLists.txt"])


class TensorNames(unittest.TestCase):
    def faults(self, name, code):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / name
            path.parent.mkdir()
            path.write_text(code)
            return [fault.split('"')[1] for fault in tensor_names.faults([pathlib.Path(folder)])]

    def test_names_and_their_beginnings_are_found(self):
        names = ["embed.weight", "attn.qkv.weight", "core.", "core.0.ffn.router_bias", ".ffn.router_bias", ".lora.B"]
        self.assertEqual(self.faults("model/a.cc", "".join(f'f("{name}");\n' for name in names)), names)

    def test_other_strings_are_good(self):
        self.assertEqual(self.faults("model/a.cc", 'f("the core.", "model.ffn_dim", "weight");  // "embed.weight"\n'), [])

    def test_declarations_and_foreign_layouts_may_name_them(self):
        for name in ("arch/attention.h", "checkpoint/openmythos.cc"):
            self.assertEqual(self.faults(name, 'f("embed.weight");\n'), [])


class Messages(unittest.TestCase):
    def faults(self, code):
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "a.cc").write_text(code)
            return [fault.split(": ")[0].split(":")[-1] for fault in messages.faults([pathlib.Path(folder)])]

    def test_a_line_end_in_a_message_is_found(self):
        self.assertEqual(self.faults('int a;\nfail(kind, name + f(")") +\n  "first.\\nSecond.");\n'), ["2"])
        self.assertEqual(self.faults('log_info(strprintf("a %s\\n", b));'), ["1"])

    def test_other_line_ends_are_good(self):
        self.assertEqual(self.faults('fail(kind, "first.", "Second \\\\n."); print("a\\n"); log_info(a.find(\'\\n\'));'), [])


class Comments(unittest.TestCase):
    def faults(self, code):
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "a.h").write_text(code)
            return [fault.split("'")[1] for fault in comments.faults([pathlib.Path(folder)])]

    def test_openings_without_a_subject_are_found(self):
        self.assertEqual(self.faults("// Of a file.\nint a;\n  // The same of two.\nint b;\n// The same.\nint c;\n"
                                     "// Ditto\nint d;\n// One that waits.\n// As above.\nint e;\n"),
                         ["Of", "The same", "The same", "Ditto", "One that"])

    def test_other_comments_are_good(self):
        self.assertEqual(self.faults("// The size of a file, which is one\n// Of many.\n// The same once more.\n"
                                     "int a;  // of a file\n// The same seed gives the same numbers.\n// Often\n"), [])


class Symbols(unittest.TestCase):
    def faults(self, *sources):
        with tempfile.TemporaryDirectory() as folder:
            libraries = []
            for i, source in enumerate(sources):
                stem = pathlib.Path(folder) / f"lib{i}"
                stem.with_suffix(".cc").write_text(f"namespace mythos {{ {source} }}\n")
                subprocess.run(["g++", "-c", "-o", f"{stem}.o", f"{stem}.cc"], check=True)
                subprocess.run(["ar", "rc", f"{stem}.a", f"{stem}.o"], check=True)
                libraries.append(stem.with_suffix(".a"))
            return symbols.faults(libraries)

    def test_one_function_in_two_libraries_is_found(self):
        self.assertEqual(self.faults("int f(int) { return 1; }", "int f(int) { return 2; }"),
                         ["_ZN6mythos1fEi is defined in lib0.a and lib1.a"])

    def test_overloads_and_inline_functions_are_good(self):
        inline = "inline int g() { return 1; } "
        self.assertEqual(self.faults(inline + "int f(int) { return g(); }", inline + "int f(char) { return g(); }"), [])


class SharedSymbols(unittest.TestCase):
    def faults(self, program, **sources):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            libraries = []
            for stem, source in sources.items():
                libraries.append(str(folder / f"lib{stem}.so"))
                self.compile(source, "-shared", "-fPIC", "-o", libraries[-1])
            self.compile(program, "-o", str(folder / "program"), *libraries, f"-Wl,-rpath,{folder}")
            return shared_symbols.faults(shared_symbols.libraries_of(folder / "program", folder))

    def compile(self, source, *options):
        subprocess.run(["g++", "-x", "c++", "-", "-x", "none", "-Wl,--no-as-needed", *options],
                       input=source, text=True, check=True)

    def test_one_symbol_in_two_libraries_is_found(self):
        self.assertEqual(self.faults("int main() {}", a="int level = 1; void f() {}", b="int level = 2; void g() {}"),
                         ["liba.so and libb.so define 1 symbols both: level"])

    def test_one_symbol_in_program_and_library_is_found(self):
        self.assertEqual(self.faults("void f() {} void g(); int main() { g(); }", a="void f() {} void g() { f(); }"),
                         ["liba.so and program define 1 symbols both: _Z1fv"])

    def test_a_library_opened_later_is_compared(self):
        with_name = 'extern const char name[] = "libmythos_parquet.so"; int main() { return name[0] == 0; }'
        self.assertEqual(self.faults(with_name, a="int level = 1;", mythos_parquet="int level = 2;"),
                         ["liba.so and libmythos_parquet.so define 1 symbols both: level"])

    def test_hidden_and_weak_symbols_are_good(self):
        source = '__attribute__((visibility("hidden"))) int level; inline int f() { static int i; return ++i; } int %s() { return f(); }'
        self.assertEqual(self.faults("int main() {}", a=source % "g", b=source % "h"), [])


@unittest.skipUnless(shutil.which("clang++"), "clang++ is not installed")
class Lifetimes(unittest.TestCase):
    SOURCE = """#include <string>
#include <string_view>
struct Token { std::string name; bool special; };
std::string name_of(const Token& token);
std::string_view shown(const Token& token) { %s }
"""

    def faults(self, body):
        with tempfile.TemporaryDirectory() as folder:
            source = pathlib.Path(folder) / "a.cc"
            command = f"/usr/bin/c++ -std=c++20 -O2 -fpch-preprocess -o a.o -c {source}"
            (source.parent / "compile_commands.json").write_text(
                json.dumps([{"directory": folder, "command": command, "file": str(source)}]))
            bodies = [body] if isinstance(body, str) else body
            for text in bodies:
                source.write_text(self.SOURCE % text)
                found, files = lifetimes.faults(pathlib.Path(folder), "clang++")
                self.assertEqual(files, 1)
            return "".join(found.values())

    def test_views_of_temporaries_are_found(self):
        for body in ('return token.special ? "" : token.name;', "return name_of(token);",
                     "std::string name = token.name; return name;",
                     "std::string_view view = name_of(token); return view;"):
            self.assertIn("[-W", self.faults(body), body)

    def test_views_of_what_stays_are_good(self):
        self.assertEqual(self.faults('return token.special ? std::string_view() : std::string_view(token.name);'), "")

    def test_what_changed_is_read_again(self):
        good = "return token.name;"
        self.assertEqual(self.faults([good, good]), "")
        self.assertIn("[-W", self.faults([good, "return name_of(token);"]))
        self.assertEqual(self.faults(["return name_of(token);", good]), "")

    def test_what_cannot_be_read_is_a_fault(self):
        self.assertIn("error", self.faults("return unknown;"))


class TorchFree(unittest.TestCase):
    def test_a_needed_library_is_found(self):
        bad, seen = torch_free.check(BIN, ["mythos"], re.compile(r"libstdc\+\+"))
        self.assertEqual(seen, 1)
        self.assertEqual([fault.split(": ")[1] for fault in bad], ["needs libstdc++.so.6"])

    def test_missing_programs_do_not_count(self):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            self.assertEqual(torch_free.check(BIN, ["mythos-none"]), ([], 0))
        self.assertEqual(out.getvalue(), "skipped mythos-none: not built here\n")

    def test_names_of_heavy_libraries(self):
        for name in ("libtorch.so", "libtorch_cpu.so", "libtorch_cuda.so", "libc10.so", "libc10_cuda.so",
                     "libarrow.so.2600", "libparquet.so.2600"):
            self.assertTrue(torch_free.HEAVY.match(name), name)
        self.assertFalse(torch_free.HEAVY.match("libc.so.6"))


class Unity(unittest.TestCase):
    def faults(self, sources):
        with tempfile.TemporaryDirectory() as folder:
            entries = []
            for name, (options, text) in sources.items():
                source = pathlib.Path(folder) / "lib/text" / name
                source.parent.mkdir(parents=True, exist_ok=True)
                source.write_text(text)
                output = f"lib/text/CMakeFiles/mythos_text.dir/{name}.o"
                entries.append({"directory": folder, "file": str(source),
                                "command": f"/usr/bin/c++ -std=c++20 -Wall {options} -o {output} -c {source}"})
            return unity.faults(entries)

    def test_sources_with_names_of_their_own_are_good(self):
        self.assertEqual(self.faults({"a.cc": ("", "namespace { int a() { return 1; } }\nint b() { return a(); }"),
                                      "b.cc": ("", "namespace { int c() { return 1; } }\nint d() { return c(); }")}),
                         ({}, 1))

    def test_a_name_in_two_sources_is_found(self):
        twice = "namespace { int a() { return 1; } }\n"
        found, rooms = self.faults({"a.cc": ("", twice + "int b() { return a(); }"),
                                    "b.cc": ("", twice + "int c() { return a(); }")})
        self.assertEqual(rooms, 1)
        self.assertRegex(found["text"], "redefinition of .*a\\(\\)")

    def test_a_source_with_options_of_its_own_stays_alone(self):
        good = {name: ("", f"int {name[0]}();") for name in ("b.cc", "c.cc")}
        self.assertEqual(self.faults({"a.cc": ("-O1", "int b = 1;"), **good}), ({}, 1))


if __name__ == "__main__":
    unittest.main()
