package main

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/vedette-edr/vedette/client"
)

const (
	userPath      = "/api/vedette/users"
	rolePath      = "/api/vedette/roles"
	userGroupPath = "/api/vedette/usergroups"
)

type userCommand struct {
	List     userList     `cmd:"" help:"List the people with an account."`
	Create   userCreate   `cmd:"" help:"Make an account; its password is shown once."`
	Update   userUpdate   `cmd:"" help:"Change roles, groups or name of an account."`
	Password userPassword `cmd:"" help:"Set somebody's password; whatever they are signed in to ends. Your own: vedette me password."`
	Disable  userDisable  `cmd:"" help:"Keep somebody from signing in; their tokens end at once."`
	Enable   userEnable   `cmd:"" help:"Let somebody sign in again."`
	Reset    userReset    `cmd:"" name:"reset-factor" help:"Take away somebody's second factor, who has lost it; their sessions end."`
	Unlink   userUnlink   `cmd:"" help:"Let no identity provider vouch for an account any more; its sessions end."`
	Sessions userSessions `cmd:"" help:"List somebody's sessions in the portal."`
	SignOut  userSignOut  `cmd:"" name:"sign-out" help:"End somebody's sessions in the portal."`
	Group    teamCommand  `cmd:"" help:"Groups of people."`
}

type userList struct{}

func (*userList) Run(s *session) error {
	return all(s, userPath, []string{"LOGIN", "NAME", "ROLES", "GROUPS", "SIGNS IN", "DISABLED", "ID"}, func(u client.User) []string {
		return []string{u.Login, u.Name, strings.Join(u.Roles, ","), strings.Join(u.Groups, ","), signsIn(u), when(u.Disabled), u.ID}
	})
}

// signsIn says how somebody signs in.
func signsIn(u client.User) string {
	var ways []string
	if u.PasswordSignIn {
		ways = append(ways, "password")
	}
	if u.SecondFactor {
		ways = append(ways, "second factor")
	}
	if u.Provider != nil {
		ways = append(ways, "sso")
	}
	return strings.Join(ways, ",")
}

func showUser(u client.User) [][2]string {
	out := [][2]string{{"Login", u.Login}, {"Id", u.ID}}
	if u.Password != "" {
		out = append(out, [2]string{"Password", u.Password})
	}
	return append(out, [2]string{"Name", u.Name}, [2]string{"Mail", u.Mail}, [2]string{"Roles", strings.Join(u.Roles, ", ")},
		[2]string{"Groups", strings.Join(u.Groups, ", ")}, [2]string{"Signs in with", signsIn(u)}, [2]string{"Identity provider", text(u.Provider)}, [2]string{"Disabled", when(u.Disabled)})
}

type userCreate struct {
	Login string   `arg:"" help:"Login, such as a mail address."`
	Role  []string `help:"Id of a role, such as security-reader."`
	Group []string `help:"Id of a user group."`
}

func (u *userCreate) Run(s *session) error {
	return send(s, http.MethodPost, userPath, map[string]any{"login": u.Login, "roles": u.Role, "userGroups": u.Group}, showUser)
}

type userUpdate struct {
	ID    string    `arg:"" help:"Id of the account."`
	Name  *string   `help:"Name shown to others."`
	Mail  *string   `help:"Mail address."`
	Role  *[]string `help:"Ids of all their roles; replaces those they have."`
	Group *[]string `help:"Ids of all their user groups; replaces those they have."`
	// PasswordSignIn is off for who signs in by an identity provider alone.
	PasswordSignIn *bool `help:"Whether they can sign in with a password." name:"password-sign-in" negatable:""`
}

func (u *userUpdate) Run(s *session) error {
	b := map[string]any{}
	if u.Name != nil {
		b["displayName"] = *u.Name
	}
	if u.Mail != nil {
		b["mail"] = *u.Mail
	}
	if u.Role != nil {
		b["roles"] = filled(*u.Role)
	}
	if u.Group != nil {
		b["userGroups"] = filled(*u.Group)
	}
	if u.PasswordSignIn != nil {
		b["passwordSignIn"] = *u.PasswordSignIn
	}
	return send(s, http.MethodPatch, userPath+"/"+url.PathEscape(u.ID), b, showUser)
}

type userReset struct {
	ID string `arg:"" help:"Id of the account."`
}

func (u *userReset) Run(s *session) error {
	return s.do(http.MethodDelete, userPath+"/"+url.PathEscape(u.ID)+"/factor", nil)
}

type userUnlink struct {
	ID string `arg:"" help:"Id of the account."`
}

func (u *userUnlink) Run(s *session) error {
	return s.do(http.MethodDelete, userPath+"/"+url.PathEscape(u.ID)+"/identity", nil)
}

type userSessions struct {
	ID string `arg:"" help:"Id of the account."`
}

func (u *userSessions) Run(s *session) error {
	return all(s, userPath+"/"+url.PathEscape(u.ID)+"/sessions", []string{"FROM", "BROWSER", "SINCE", "LAST SEEN", "ENDS", "ID"}, func(x client.PortalSession) []string {
		return []string{x.From, x.Browser, when(x.Created), when(x.Seen), when(x.Expires), x.ID}
	})
}

type userSignOut struct {
	ID string `arg:"" help:"Id of the account."`
}

func (u *userSignOut) Run(s *session) error {
	return s.do(http.MethodDelete, userPath+"/"+url.PathEscape(u.ID)+"/sessions", nil)
}

// filled leaves out what is empty, so that --role= takes every role away.
func filled(list []string) []string {
	out := []string{}
	for _, s := range list {
		if s != "" {
			out = append(out, s)
		}
	}
	return out
}

type userPassword struct {
	ID       string `arg:"" help:"Id of the account."`
	Password string `help:"The new password." env:"VEDETTE_NEW_PASSWORD" required:""`
}

func (u *userPassword) Run(s *session) error {
	return s.do(http.MethodPost, userPath+"/"+url.PathEscape(u.ID)+"/password", map[string]string{"password": u.Password})
}

type userDisable struct {
	ID string `arg:"" help:"Id of the account."`
}

func (u *userDisable) Run(s *session) error {
	return send(s, http.MethodPatch, userPath+"/"+url.PathEscape(u.ID), map[string]bool{"disabled": true}, showUser)
}

type userEnable struct {
	ID string `arg:"" help:"Id of the account."`
}

func (u *userEnable) Run(s *session) error {
	return send(s, http.MethodPatch, userPath+"/"+url.PathEscape(u.ID), map[string]bool{"disabled": false}, showUser)
}

type teamCommand struct {
	List   teamList   `cmd:"" help:"List groups of people."`
	Create teamCreate `cmd:"" help:"Make a group of people, who have its roles."`
	Delete teamDelete `cmd:"" help:"Delete a group of people."`
}

type teamList struct{}

func (*teamList) Run(s *session) error {
	return all(s, userGroupPath, []string{"NAME", "ROLES", "ID"}, func(g client.UserGroup) []string {
		return []string{g.Name, strings.Join(g.Roles, ","), g.ID}
	})
}

type teamCreate struct {
	Name        string   `arg:"" help:"Name of the group."`
	Description string   `help:"What it is for."`
	Role        []string `help:"Id of a role that its members have."`
}

func (t *teamCreate) Run(s *session) error {
	return send(s, http.MethodPost, userGroupPath, map[string]any{"name": t.Name, "description": t.Description, "roles": t.Role},
		func(g client.UserGroup) [][2]string {
			return [][2]string{{"Name", g.Name}, {"Id", g.ID}, {"Roles", strings.Join(g.Roles, ", ")}}
		})
}

type teamDelete struct {
	ID string `arg:"" help:"Id of the group."`
}

func (t *teamDelete) Run(s *session) error {
	return s.do(http.MethodDelete, userGroupPath+"/"+url.PathEscape(t.ID), nil)
}

type roleCommand struct {
	List   roleList   `cmd:"" help:"List roles, those built in included."`
	Create roleCreate `cmd:"" help:"Make a role."`
	Update roleUpdate `cmd:"" help:"Replace name and rights of a role."`
	Delete roleDelete `cmd:"" help:"Delete a role; who was given it has it no more."`
}

type roleList struct{}

func (*roleList) Run(s *session) error {
	return all(s, rolePath, []string{"NAME", "ID", "BUILT IN", "RIGHTS"}, func(r client.Role) []string {
		builtIn := ""
		if r.BuiltIn {
			builtIn = "yes"
		}
		return []string{r.Name, r.ID, builtIn, strings.Join(r.Permissions, ",")}
	})
}

func showRole(r client.Role) [][2]string {
	return [][2]string{{"Name", r.Name}, {"Id", r.ID}, {"Description", r.Description}, {"Rights", strings.Join(r.Permissions, ", ")}}
}

type roleCreate struct {
	Name        string   `arg:"" help:"Name of the role."`
	Description string   `help:"What it is for."`
	Right       []string `help:"Right, such as AlertsInvestigation; may be given several times." required:""`
}

func (r *roleCreate) Run(s *session) error {
	return send(s, http.MethodPost, rolePath, map[string]any{"name": r.Name, "description": r.Description, "permissions": r.Right}, showRole)
}

type roleUpdate struct {
	ID          string   `arg:"" help:"Id of the role."`
	Name        string   `arg:"" help:"Name of the role."`
	Description string   `help:"What it is for."`
	Right       []string `help:"Right; may be given several times." required:""`
}

func (r *roleUpdate) Run(s *session) error {
	return send(s, http.MethodPut, rolePath+"/"+url.PathEscape(r.ID), map[string]any{"name": r.Name, "description": r.Description, "permissions": r.Right}, showRole)
}

type roleDelete struct {
	ID string `arg:"" help:"Id of the role."`
}

func (r *roleDelete) Run(s *session) error {
	return s.do(http.MethodDelete, rolePath+"/"+url.PathEscape(r.ID), nil)
}
