package lint

import (
	"fmt"
	"io/fs"

	"gopkg.in/yaml.v3"
)

// Suites lints the tests of a bundle: each is strict, and no test in it is less so.
func Suites(dir fs.FS) (found []Problem, err error) {
	files, err := fs.Glob(dir, "tests/*_test.yaml")
	if err != nil {
		return nil, err
	}
	for _, name := range files {
		text, err := fs.ReadFile(dir, name)
		if err != nil {
			return nil, err
		}
		type options struct {
			StrictEvaluation bool `yaml:"strictEvaluation"`
		}
		var s struct {
			Options options
			Tests   []struct {
				Name    string
				Options *options
			}
		}
		if err := yaml.Unmarshal(text, &s); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if !s.Options.StrictEvaluation {
			found = append(found, Problem{name, "", "its tests are not strict"})
		}
		for _, t := range s.Tests {
			if t.Options != nil && !t.Options.StrictEvaluation {
				found = append(found, Problem{name, t.Name, "its own options make it lenient"})
			}
		}
	}
	return found, nil
}

// Config lints the configuration of a decision point, which accepts any misspelt key without a word.
func Config(name string, text []byte) (found []Problem, err error) {
	var c struct {
		Engine struct {
			StrictEvaluation bool `yaml:"strictEvaluation"`
		}
		Schema struct{ Enforcement string }
	}
	if err := yaml.Unmarshal(text, &c); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if !c.Engine.StrictEvaluation {
		found = append(found, Problem{name, "", "engine.strictEvaluation is off: a denial whose condition fails is skipped"})
	}
	if c.Schema.Enforcement != "reject" {
		found = append(found, Problem{name, "", "schema.enforcement is not reject"})
	}
	return found, nil
}
