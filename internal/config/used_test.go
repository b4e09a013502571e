package config

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"testing"
)

// A key that nothing reads is a lie. What is read by name in the code that is configured counts.
func TestEveryFieldIsUsed(t *testing.T) {
	read := map[string]bool{}
	var files []string
	for _, pattern := range []string{"internal/proxy/*.go", "cmd/rocketmqtt/*.go", "internal/config/config.go", "internal/config/tls.go"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				read[s.Sel.Name] = true
			}
			return true
		})
	}
	typ := reflect.TypeFor[Config]()
	for i := range typ.NumField() {
		name := typ.Field(i).Name
		if !read[name] {
			t.Errorf("nothing reads Config.%s", name)
		}
	}
}
