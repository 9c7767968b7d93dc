"""Bitwuzla as a program that takes SMT-LIB from standard input, as its Python package has none."""

import sys

import bitwuzla


def main():
    """Answer each command as soon as it is complete."""
    if "--help" in sys.argv:
        # By this SymbiYosys knows the options of Bitwuzla 0.3 and later.
        print("--lang")
        return
    options = bitwuzla.Options()
    options.set(bitwuzla.Option.PRODUCE_MODELS, True)
    parser = bitwuzla.Parser(bitwuzla.TermManager(), options)
    command, open_brackets = "", 0
    for line in sys.stdin:
        line = line.partition(";")[0]
        command += line
        open_brackets += line.count("(") - line.count(")")
        if open_brackets == 0 and command.strip():
            if command.strip() == "(exit)":
                return
            parser.parse(command, parse_only=False, parse_file=False)
            command = ""


if __name__ == "__main__":
    main()
